"""The options of a ``sqlite://`` or ``postgresql://`` URL."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from saros.model.errors import INVALID, NOT_FOUND, Error
from saros.model.text import without_secrets
from saros.model.timing import SECOND, parse_duration

HINT: Final = "for example sqlite:///shop.db, or sqlite:////var/lib/shop.db?retention=30d"
SERVER_HINT: Final = "for example postgresql://shop@db.example.com/shop?schema=saros&sslmode=verify-full"
SCHEMES: Final = ("postgresql", "postgres")
LONGEST: Final = 36_500 * 86_400 * SECOND
_DIGITS: Final = re.compile("[0-9]{1,18}")


class Options(NamedTuple):
    """The options of a URL. Durations are in nanoseconds, sizes in bytes."""

    url: str  # without secrets
    path: str  # of the file, absolute; empty with a server
    full: bool = True  # an fsync for each commit that somebody relies on
    retention: int = 7 * 86_400 * SECOND
    lease: int = 10 * SECOND
    busy: int = 10 * SECOND  # how long to wait for other processes that write
    payload: int = 20_000_000  # of one value that enters a history
    attempts: int = 10  # workers that may be lost in a row with one task
    server: str = ""  # what libpq connects to, with secrets
    schema: str = ""  # where the tables are, on a server

    def __repr__(self) -> str:
        return f"Options({self.url})"  # without secrets


def parse(url: str) -> Options:
    """The options of a URL.

    :raises Error: INVALID, naming the option.
    """
    return _server(url) if url.partition("://")[0] in SCHEMES else _file(url)


def _file(url: str) -> Options:
    """Those of SQLite. As with SQLAlchemy, three slashes begin a relative path and four an absolute one."""
    clean = without_secrets(url)
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        raise _bad(clean, "it is not the URL of a SQLite or PostgreSQL database")
    rest, _, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    path = unquote(path)
    if host or not slash or not path or path.endswith("/") or "\0" in path:
        raise _bad(clean, "the path of the file is missing" if not path else "it is no path of a file")
    if path == ":memory:":
        raise Error(f"{clean}: a database has to be a file", INVALID, retryable=False, hint="use memory://")
    known = {*_DURATIONS, *_NUMBERS, "synchronous"}
    changes = {name: _value(clean, name, text, known) for name, text in _pairs(clean, query)}
    full = changes.pop("synchronous", True)
    try:
        absolute = os.path.join(os.getcwd(), path)  # the working directory may be another one later
    except FileNotFoundError as exc:
        raise Error(f"{clean}: the working directory was deleted", NOT_FOUND, retryable=False) from exc
    return Options(clean.partition("?")[0], absolute, full)._replace(**changes)


def _server(url: str) -> Options:
    """Those of PostgreSQL. What is not an option of ours has to be one of libpq."""
    clean = without_secrets(url)
    rest, _, query = url.partition("?")
    if "\0" in url or "#" in url:
        raise _bad(clean, "it is no URL of a database")
    known = {*_DURATIONS, *_NUMBERS, "schema", *_LIBPQ}
    ours: dict[str, Any] = {}
    theirs: list[tuple[str, str]] = []
    for name, text in _pairs(clean, query):
        if name in _LIBPQ:
            theirs.append((name, text))
        elif name == "synchronous":
            raise _bad(clean, "synchronous is an option of sqlite; with PostgreSQL it is synchronous_commit")
        else:
            ours[name] = _value(clean, name, text, known)
    server = f"{rest}?{urlencode(theirs, quote_via=quote)}" if theirs else rest
    return Options(clean, "", server=server, schema=ours.pop("schema", "saros"))._replace(**ours)


_LIBPQ: Final = frozenset(
    name
    for line in (
        "application_name channel_binding connect_timeout gssencmode host hostaddr krbsrvname load_balance_hosts",
        "keepalives keepalives_count keepalives_idle keepalives_interval passfile port require_auth service",
        "sslcert sslcrl sslkey sslmode sslnegotiation sslrootcert target_session_attrs tcp_user_timeout user",
    )
    for name in line.split()
)
_NAME: Final = re.compile("[a-z_][a-z0-9_]{0,47}")

_DURATIONS: Final = {"retention": 1, "lease": SECOND // 2, "busy": SECOND // 100}
"""The options that are durations, each with its minimum."""
_NUMBERS: Final = {"payload": (1_000, 500_000_000), "attempts": (1, 1_000_000)}
_MODES: Final = {"full": True, "normal": False}


def _pairs(url: str, query: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _bad(url, f"{name} is given twice")
    return pairs


def _value(url: str, name: str, text: str, known: set[str]) -> Any:
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), 1, 0.75)
        names = ", ".join(sorted(known - _LIBPQ))
        raise _bad(
            url, f"an unknown option; {f'did you mean {near[0]}?' if near else f'the options are {names}'}"
        )
    if name in _DURATIONS:
        ns = _duration(url, name, text)
        if ns < _DURATIONS[name]:
            raise _bad(url, f"{name} is too short")
        return ns
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise _bad(url, f"{name} must be a number from {least} to {most}")
        return int(text)
    if name == "synchronous":
        if text not in _MODES:
            raise _bad(url, "synchronous must be full or normal")
        return _MODES[text]
    if not _NAME.fullmatch(text) or text.startswith("pg_"):
        raise _bad(url, "schema is not a name of small letters, digits and _, at most 48")
    return text


def _duration(url: str, name: str, text: str) -> int:
    try:
        days = text[:-1] if text.endswith("d") and _DIGITS.fullmatch(text[:-1]) else ""
        ns = int(days) * 86_400 * SECOND if days else parse_duration(text)
    except Error:
        raise _bad(url, f"{name} is not a duration such as 500ms, 10s or 7d") from None
    if not 0 < ns <= LONGEST:
        raise _bad(url, f"{name} must be more than 0, and at most 36500d")
    return ns


def _bad(url: str, why: str) -> Error:
    hint = SERVER_HINT if url.partition("://")[0] in SCHEMES else HINT
    return Error(f"{url}: {why}", INVALID, retryable=False, hint=hint)
