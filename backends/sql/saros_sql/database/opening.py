"""Opening a SQLite database: create a missing file, and refuse one that Saros cannot use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from saros.model.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, Error

from ..options import Options
from .boot import SteadyClock
from .schema import TABLES, VERSION, statements
from .sqlite import SqliteConnection, explain

APPLICATION: Final = 0x5361726F
"""The application id in the header of a Saros database: "Saro"."""
MAGIC: Final = b"SQLite format 3\0"
NETWORK: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "afs",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "fuse.glusterfs",
    }
)
"""File systems that several machines share. SQLite's log needs shared memory, so a database breaks there."""
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
        raw.execute("PRAGMA busy_timeout = 0")
        connection = SqliteConnection(raw, options, owner, clock, reads)
        if not reads:
            _prepare(connection, raw, options, clock)
        return connection
    except sqlite3.Error as exc:
        raw.close()
        raise explain(exc, options) from exc
    except BaseException:
        raw.close()
        raise


def check_place(options: Options) -> None:
    """:raises Error: if the path cannot hold a database, or the file there is not a SQLite database."""
    path = Path(options.path)
    folder = path.parent
    if not folder.is_dir():
        raise Error(f"there is no directory {folder} for the database {path}", NOT_FOUND, retryable=False)
    kind = filesystem(folder)
    if kind in NETWORK:
        raise Error(
            f"{path} is on a network file system ({kind}), where SQLite databases break",
            INVALID,
            retryable=False,
            hint="put it on a disk of this machine; for several machines use postgresql:// or redis://",
        )
    if path.is_dir():
        raise Error(f"{path} is a directory, not a database", INVALID, retryable=False)
    if not path.exists():
        _may_write(folder)
        return
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except PermissionError as exc:
        raise Error(
            f"this user has no permission to read {path}", PERMISSION_DENIED, retryable=False
        ) from exc
    if magic and magic != MAGIC:
        raise Error(f"{path} is not a SQLite database", INVALID, retryable=False, hint="name another file")
    _may_write(path)
    _may_write(folder)


def _may_write(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise Error(
            f"this user has no permission to write to {path}",
            PERMISSION_DENIED,
            retryable=False,
            hint="Saros writes to the database file and to a log beside it",
        )


def filesystem(folder: Path) -> str:
    """Return the type of the file system of a directory, such as ``ext4``; empty if the system does not tell."""
    place = os.path.realpath(folder)
    found, kind = "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, point, name, *_ = line.split(" ")
                point = point.replace("\\040", " ")
                inside = place == point or place.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(found):
                    found, kind = point, name
    except (OSError, ValueError):
        return ""
    return kind


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
