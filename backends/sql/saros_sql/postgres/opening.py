"""Opening a database on a server: checks, and making its tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import psycopg

from saros.model.errors import INVALID, NOT_FOUND, Error

from ..database.schema import TABLES, VERSION, statements
from ..options import Options
from .driver import Raw, by_index, connect, explain
from .transaction import key

log = logging.getLogger("saros.sql")

TYPES: Final = {
    " SERIAL": " BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    " INTEGER": " BIGINT",
    " TEXT": ' TEXT COLLATE "C"',
    " BLOB": " BYTEA",
    " REAL": " DOUBLE PRECISION",
    " WITHOUT ROWID": "",
}
"""Types of SQLite and their equivalents. Texts compare byte by byte on both."""
MARK: Final = "saros_schema"
"""The table that marks a schema as ours and holds its version."""


def opened(options: Options) -> Raw:
    """Connect to a database that has its tables already.

    :raises Error: why it could not.
    """
    return _connected(options, lambda raw: check_schema(raw, options))


def prepared(options: Options) -> Raw:
    """Connect to a database, and make its tables if there are none.

    :raises Error: why it could not, or must not.
    """

    def prepare(raw: Raw) -> None:
        if version(raw, options) is None:
            _make(raw, options)
        check_schema(raw, options)
        if raw.execute("SHOW fsync").fetchone() == ("off",):
            log.warning("%s: fsync is off; a crash of the server may lose everything", options.url)
        by_index(raw)

    return _connected(options, prepare)


def _connected(options: Options, prepare: Callable[[Raw], None]) -> Raw:
    try:
        return connect(options, prepare)
    except psycopg.Error as exc:
        raise explain(exc, options) from exc


def version(raw: Raw, options: Options) -> int | None:
    """Return the version of the tables; None if there are none.

    :raises Error: INVALID when the tables are another program's.
    """
    found = raw.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p', 'v', 'm')",
        (options.schema,),
    )
    tables = {name for (name,) in found.fetchall()}
    if not tables:
        return None
    where = f"schema {options.schema} of {options.url}"
    other = Error(
        f"the {where} has tables of another program",
        INVALID,
        retryable=False,
        hint="name another schema: ?schema=saros_shop",
    )
    if MARK not in tables:
        raise other
    try:
        row = raw.execute(f"SELECT version FROM {MARK}").fetchone()
    except psycopg.errors.UndefinedColumn:
        raise other from None
    if row is None:
        raise other
    number: int = row[0]
    return number


def check_schema(raw: Raw, options: Options) -> None:
    """:raises Error: the tables are missing, or of another version."""
    number = version(raw, options)
    where = f"schema {options.schema} of {options.url}"
    if number is None:
        raise Error(f"there are no tables of Saros in {where}", NOT_FOUND, retryable=False)
    if number > VERSION:
        raise Error(
            f"{where} has version {number}, and this version of Saros supports only versions up to {VERSION}",
            INVALID,
            retryable=False,
            hint="update Saros here as well",
        )
    if number < VERSION:
        raise Error(
            f"{where} has version {number}, and this version of Saros needs {VERSION}",
            INVALID,
            retryable=False,
            hint=f"stop all its workers, and run: saros db migrate {options.url}",
        )


def translated(text: str) -> list[str]:
    """Split a text of statements that make tables, and replace their types by PostgreSQL's."""
    for before, after in TYPES.items():
        text = text.replace(before, after)
    return statements(text)


def _make(raw: Raw, options: Options) -> None:
    """Make all tables in one transaction, unless another process has just done so."""
    with raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (key(options.schema, "make", ""),))
        if version(raw, options) is not None:
            return
        if raw.execute("SELECT to_regnamespace(%s)", (options.schema,)).fetchone() == (None,):
            raw.execute(f"CREATE SCHEMA {options.schema}")
        for statement in translated(TABLES):
            raw.execute(statement)
        raw.execute(
            "INSERT INTO clock (one, boot, ahead, steady, wall) SELECT 1, '', 0, now, now"
            " FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000 AS now) AS times"
        )
        raw.execute(f"CREATE TABLE {MARK} (version BIGINT NOT NULL)")
        raw.execute(f"INSERT INTO {MARK} VALUES ({VERSION})")
