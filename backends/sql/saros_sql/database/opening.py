"""Opening a SQLite database: create a missing file, and refuse one that Saros cannot use."""

from __future__ import annotations

import sqlite3
from typing import Final

from saros.model.errors import INVALID, Error

from ..options import Options
from .boot import SteadyClock
from .place import check_place
from .schema import TABLES, VERSION, statements
from .sqlite import SqliteConnection, explain

APPLICATION: Final = 0x5361726F
"""The application id in the header of a Saros database: "Saro"."""
_TYPES: Final = {"SERIAL": "INTEGER PRIMARY KEY"}


def connect(options: Options, owner: str, clock: SteadyClock, *, reads: bool = False) -> SqliteConnection:
    """Open the database; create it if it does not exist.

    :param reads: open it for reading only; it must exist.
    :raises Error: if Saros cannot use it.
    """
    if not reads:
        check_place(options)
    try:
        raw = sqlite3.connect(options.path, timeout=0, isolation_level=None, cached_statements=400)
    except sqlite3.Error as exc:
        raise explain(exc, options) from exc
    try:
        raw.execute(f"PRAGMA busy_timeout = {options.busy // 1_000_000}")
        if not reads:
            check_owner(raw, options)
            _use_log(raw, options)
        raw.execute("PRAGMA cache_size = -32000")
        raw.execute(f"PRAGMA query_only = {int(reads)}")
        connection = SqliteConnection(raw, options, owner, clock, reads)
        if reads:
            raw.execute("SELECT 1 FROM clock").fetchone()  # opens the log
        else:
            raw.execute("PRAGMA busy_timeout = 0")  # it waits by itself, so that each process gets its turn
            _prepare(connection, raw, options, clock)
        connection.adopt()
        return connection
    except sqlite3.Error as exc:
        raw.close()
        raise explain(exc, options) from exc
    except BaseException:
        raw.close()
        raise


def check_owner(raw: sqlite3.Connection, options: Options) -> None:
    """:raises Error: if the database belongs to another program or to a newer or older version of Saros."""
    application = raw.execute("PRAGMA application_id").fetchone()[0]
    version = raw.execute("PRAGMA user_version").fetchone()[0]
    empty = raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    path = options.path
    if empty and application in (0, APPLICATION) and version == 0:
        return
    if application != APPLICATION:
        raise Error(
            f"{path} is a database of another program", INVALID, retryable=False, hint="name another file"
        )
    if version > VERSION:
        raise Error(
            f"{path} has schema {version}, and this version of Saros supports only schemas up to {VERSION}",
            INVALID,
            retryable=False,
            hint="update Saros here as well",
        )
    if version < VERSION:
        raise Error(
            f"{path} has schema {version}, and this version of Saros needs {VERSION}",
            INVALID,
            retryable=False,
            hint=f"stop all its workers, and run: saros db migrate {options.url}",
        )


def _use_log(raw: sqlite3.Connection, options: Options) -> None:
    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise Error(
            f"{options.path} cannot have a write-ahead log here (its journal is {mode})",
            INVALID,
            retryable=False,
            hint="put it on a disk of this machine",
        )


def _prepare(
    connection: SqliteConnection, raw: sqlite3.Connection, options: Options, clock: SteadyClock
) -> None:
    """Make the tables, if another process has not done so meanwhile, and read the clock."""
    transaction = connection.begun(True)
    try:
        if raw.execute("PRAGMA user_version").fetchone()[0] == 0:
            make_tables(raw)
        clock.load(transaction)
        connection.commit(transaction)
    except BaseException:
        connection.rollback()
        raise


def make_tables(raw: sqlite3.Connection) -> None:
    for statement in statements(TABLES):
        for name, kind in _TYPES.items():
            statement = statement.replace(f" {name}", f" {kind}")
        raw.execute(statement)
    raw.execute(f"PRAGMA application_id = {APPLICATION}")
    raw.execute(f"PRAGMA user_version = {VERSION}")
