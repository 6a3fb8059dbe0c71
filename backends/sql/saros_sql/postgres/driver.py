"""Connections to PostgreSQL, and what their errors mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import psycopg
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import BytesBinaryDumper

from saros.model.errors import INTERNAL, INVALID, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, Error
from saros.model.text import sentence

from ..options import Options

Raw = psycopg.Connection[tuple[Any, ...]]
OLDEST: Final = 14
STATEMENTS: Final = 400
"""How many statements a connection keeps prepared."""
_DEFAULTS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""With these, a machine that is gone is noticed within seconds."""


class _RawDumper(BytesBinaryDumper):
    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


def connect(options: Options, prepare: Callable[[Raw], object] = lambda raw: None) -> Raw:
    """Open a connection that commits each statement by itself, except within a transaction.

    :param prepare: the last step of opening it; if it fails, the connection is closed.
    :raises psycopg.Error: the server could not be reached, or refused.
    :raises Error: INVALID when the server is too old.
    """
    defaults: dict[str, Any] = {"application_name": "saros", **_DEFAULTS}
    given = psycopg.conninfo.conninfo_to_dict(options.server)
    raw: Raw = psycopg.connect(
        options.server,
        autocommit=True,
        prepare_threshold=2,
        **{name: value for name, value in defaults.items() if name not in given},
        client_encoding="utf8",
    )
    try:
        if raw.info.server_version < OLDEST * 10_000:
            raise Error(
                f"{options.url}: the server has PostgreSQL {raw.info.server_version // 10_000}; Saros needs"
                f" {OLDEST} or newer",
                INVALID,
                retryable=False,
            )
        raw.prepared_max = STATEMENTS
        raw.adapters.register_dumper(int, Int8Dumper)  # so that each statement is prepared once
        raw.adapters.register_dumper(msgspec.Raw, _RawDumper)
        wait = options.busy // 1_000_000
        raw.execute(
            f"SET search_path = {options.schema}; SET lock_timeout = {wait};"
            f" SET idle_in_transaction_session_timeout = {max(wait // 2, 1)}; SET jit = off;"
            " SET statement_timeout = 0; SET default_transaction_isolation = 'read committed'"
        )
        if raw.execute("SHOW synchronous_commit").fetchone() == ("off",):
            raw.execute("SET synchronous_commit = on")
        prepare(raw)
    except BaseException:
        raw.close()
        raise
    return raw


def by_index(raw: Raw) -> None:
    """Have a connection for writing find rows by an index.

    A server plans a prepared statement while the tables are small, and would still read them from end to end when
    they have a million rows.
    """
    raw.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off")


def is_lost(failure: BaseException) -> bool:
    """Return whether an error means that the connection is gone, with its transaction unless that was committed."""
    if not isinstance(failure, psycopg.Error):
        return False
    state = failure.sqlstate
    if state is None:
        return isinstance(failure, psycopg.OperationalError)
    return state.startswith(("08", "57P")) or state == "25P03"


def may_connect(failure: psycopg.Error) -> bool:
    """Return whether a later attempt to connect may succeed: the server is down, is starting or is full."""
    return explain(failure, None).kind == UNAVAILABLE


_KINDS: Final = {
    "08": (UNAVAILABLE, "the connection was lost", None),
    "28": (PERMISSION_DENIED, "the server refuses this user", "check user, password and pg_hba.conf"),
    "3D": (NOT_FOUND, "there is no such database on the server", "create it: createdb"),
    "40": (UNAVAILABLE, "transactions of other processes got in the way again and again", None),
    "42501": (PERMISSION_DENIED, "this user lacks a permission", "see docs/backends/sql.md, Permissions"),
    "53": (UNAVAILABLE, "the server is out of resources", "has it enough disk, memory and connections?"),
    "54": (INVALID, "a value is too large for it", None),
    "55P03": (UNAVAILABLE, "another process has held a lock for too long", None),
    "57": (UNAVAILABLE, "the server is not available", None),
    "58": (UNAVAILABLE, "the server has trouble with its disk", None),
    "25P03": (UNAVAILABLE, "this process stood still within a transaction", None),
    "25006": (
        UNAVAILABLE,
        "the server is read-only",
        "with several hosts, use target_session_attrs=read-write",
    ),
}
_AUTHENTICATION: Final = ("password", "authentication", "pg_hba", "role")


def explain(failure: Exception, options: Options | None) -> Error:
    """Translate an error of PostgreSQL for users."""
    where = "" if options is None else f"{options.url}: "
    state = getattr(failure, "sqlstate", None)
    text = str(failure).strip()
    if state is None and isinstance(failure, psycopg.OperationalError):
        kind, what, hint = _connecting(text)
    elif isinstance(failure, psycopg.ProgrammingError) and state is None:
        return Error(
            f"{where}libpq does not understand this URL", INVALID, retryable=False
        )  # libpq's message quotes the URL with its password
    else:
        known = state or ""
        kind, what, hint = (
            _KINDS.get(known) or _KINDS.get(known[:2]) or (INTERNAL, "it refused a statement", None)
        )
    detail = sentence(" ".join(text.split()))
    return Error(f"{where}{what} ({detail})", kind, retryable=kind == UNAVAILABLE, hint=hint)


def _connecting(text: str) -> tuple[str, str, str | None]:
    """Explain why connecting failed. libpq gives no code for it, only the server's message after "FATAL:"."""
    if "FATAL:" in text or "fe_sendauth" in text:
        if 'database "' in text and "does not exist" in text:
            return _KINDS["3D"]
        if any(word in text for word in _AUTHENTICATION) and "starting up" not in text:
            return _KINDS["28"]
    return UNAVAILABLE, "the server cannot be reached", "is it running, and are host and port right?"
