"""The commands of `saros db` for a database on a server; see `saros_sql.database.maintenance`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import psycopg
from psycopg import sql

from saros.model.errors import INVALID, NOT_FOUND, UNAVAILABLE, Error

from ..database.maintenance import WAITING, Info, steps
from ..database.schema import VERSION
from ..options import Options
from .driver import Raw, connect, explain
from .opening import MARK, check_schema, translated, version
from .transaction import CONNECTED, key

SIZE: Final = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
    " WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'"
)
TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"


@contextlib.contextmanager
def _opened(options: Options, *, any_version: bool = False) -> Iterator[Raw]:
    try:
        with contextlib.closing(connect(options)) as raw:
            number = version(raw, options)
            if number is None or not any_version or number > VERSION:
                check_schema(raw, options)
            yield raw
    except psycopg.Error as exc:
        raise explain(exc, options) from exc


def _number(raw: Raw, statement: str, *args: object) -> int:
    row = raw.execute(statement, args).fetchone()
    assert row is not None
    return int(row[0])


def info(options: Options, *, check: bool = False) -> Info:
    if check:
        raise _leaves(options, "look for damage", "pg_amcheck")
    with _opened(options) as raw:
        statuses = raw.execute("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status").fetchall()
        return Info(
            f"{options.url} (schema {options.schema})",
            _number(raw, f"SELECT version FROM {MARK}"),
            _number(raw, SIZE, options.schema),
            None,
            None,
            dict(statuses),
            {what: _number(raw, statement) for what, statement in WAITING.items()},
            _number(raw, "SELECT count(*) FROM sessions"),
            None,
        )


def backup(options: Options, target: Path) -> NoReturn:
    """:raises Error: INVALID, with the program to use instead."""
    raise _leaves(options, "copy it", f"pg_dump --schema={options.schema} --format=custom")


def _leaves(options: Options, what: str, program: str) -> Error:
    return Error(
        f"{options.url}: Saros does not {what}, for PostgreSQL has its own programs",
        INVALID,
        retryable=False,
        hint=f"run {program}",
    )


def vacuum(options: Options) -> tuple[int, int]:
    with _opened(options) as raw:
        before = _number(raw, SIZE, options.schema)
        raw.execute("SET lock_timeout = 0")
        for (table,) in raw.execute(TABLES, (options.schema,)).fetchall():
            raw.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier(options.schema, table)))
        return before, _number(raw, SIZE, options.schema)


def migrate(options: Options) -> tuple[int, int]:
    with _opened(options, any_version=True) as raw, raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (key(options.schema, "make", ""),))
        before = version(raw, options)
        if before is None:
            raise Error(f"there are no tables of Saros in {options.url}", NOT_FOUND, retryable=False)
        if before == VERSION:
            return before, before
        _check_idle(raw, options)
        for text in steps(before):
            for statement in translated(text):
                raw.execute(statement)
        raw.execute(f"UPDATE {MARK} SET version = %s", (VERSION,))
        return before, VERSION


def _check_idle(raw: Raw, options: Options) -> None:
    """Whoever is connected holds a lock of its session."""
    locked = {number for (number,) in raw.execute(CONNECTED).fetchall()}
    owners = [owner for (owner,) in raw.execute("SELECT owner FROM sessions").fetchall()]
    used = sum(key(options.schema, "session", owner) in locked for owner in owners)
    if used:
        raise Error(
            f"{options.url} is in use by {used} process{'' if used == 1 else 'es'}",
            UNAVAILABLE,
            hint="stop all its workers first",
        )
