"""Maintenance of a database: inspect, copy, shrink and migrate it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from saros.model.errors import (
    ALREADY_EXISTS,
    INTERNAL,
    INVALID,
    NOT_FOUND,
    PERMISSION_DENIED,
    UNAVAILABLE,
    Error,
)

from ..options import Options
from .boot import SteadyClock
from .opening import APPLICATION, check_owner
from .place import check_place
from .schema import MIGRATIONS, VERSION, statements
from .sqlite import SqliteTransaction, explain

WAITING: Final = {
    "workflow tasks": "SELECT count(*) FROM runs WHERE ready IS NOT NULL",
    "activities": "SELECT count(*) FROM activities WHERE ready IS NOT NULL",
    "deadlines": "SELECT count(*) FROM deadlines",
    "outbox entries": "SELECT count(*) FROM outbox",
}


class Info(NamedTuple):
    """What a database contains. Sizes are in bytes.

    :ivar log: of a file of SQLite; None on a server.
    :ivar free: what `vacuum` gives back; None where that is not known.
    :ivar waiting: what waits to be done, and how much of it.
    :ivar sessions: processes that work on it, or have until just now.
    :ivar damage: what an integrity check found; None when it was not made, empty when all is well.
    """

    path: str
    schema: int
    size: int
    log: int | None
    free: int | None
    executions: dict[str, int]
    waiting: dict[str, int]
    sessions: int
    damage: list[str] | None


@contextlib.contextmanager
def opened(options: Options, *, any_version: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a connection to an existing database.

    :raises Error: if it does not exist, or Saros cannot use it.
    """
    if not Path(options.path).exists():
        raise Error(f"there is no database {options.path}", NOT_FOUND, retryable=False)
    check_place(options)
    try:
        with contextlib.closing(sqlite3.connect(options.path, isolation_level=None)) as raw:
            raw.execute(f"PRAGMA busy_timeout = {options.busy // 1_000_000}")
            known = raw.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
            if not (any_version and known and _version(raw) <= VERSION):
                check_owner(raw, options)
                if not known:
                    raise Error(f"{options.path} is empty", INVALID, retryable=False)
            yield raw
    except sqlite3.Error as exc:
        raise explain(exc, options) from exc


def _version(raw: sqlite3.Connection) -> int:
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    return version


def info(options: Options, *, check: bool = False) -> Info:
    """Return what a database contains.

    :param check: read the whole database and report damage.
    """
    with opened(options) as raw:

        def number(sql: str) -> int:
            found: int = raw.execute(sql).fetchone()[0]
            return found

        page = number("PRAGMA page_size")
        log = Path(f"{os.path.realpath(options.path)}-wal")
        found = Info(
            options.path,
            _version(raw),
            number("PRAGMA page_count") * page,
            log.stat().st_size if log.exists() else 0,
            number("PRAGMA freelist_count") * page,
            {},
            {},
            0,
            _damage(raw) if check else None,
        )
        try:
            return found._replace(
                executions=dict(
                    raw.execute("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status")
                ),
                waiting={what: number(sql) for what, sql in WAITING.items()},
                sessions=number("SELECT count(*) FROM sessions"),
            )
        except sqlite3.DatabaseError:
            if found.damage:
                return found  # that is why
            raise


def _damage(raw: sqlite3.Connection) -> list[str]:
    lines = [line for (line,) in raw.execute("PRAGMA integrity_check(20)")]
    return [] if lines == ["ok"] else [part for line in lines for part in line.split("\n")]


def backup(options: Options, target: Path) -> int:
    """Copy a database as it is now, while other processes keep writing; return the size of the copy in bytes.

    The copy gets its name only once it is complete and on the disk. Until then it is beside it, as ``NAME.….part``.

    :raises Error: ALREADY_EXISTS; NOT_FOUND when there is no directory for it; UNAVAILABLE when the disk is full.
    """
    _check_target(target)
    with opened(options, any_version=True) as raw, _unfinished(options, target) as part:
        try:
            with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copy:
                raw.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            _sync(part)
            _check_target(target)
            os.replace(part, target)
            _sync(target.parent)
        except sqlite3.Error as exc:
            raise explain(exc, options._replace(path=f"the copy {target} of {options.path}")) from exc
        return target.stat().st_size


def _check_target(target: Path) -> None:
    if os.path.lexists(target):
        raise Error(f"{target} exists already", ALREADY_EXISTS, retryable=False, hint="name another file")
    if not target.parent.is_dir():
        raise Error(f"there is no directory {target.parent}", NOT_FOUND, retryable=False)


@contextlib.contextmanager
def _unfinished(options: Options, target: Path) -> Iterator[Path]:
    """Give a new file for a copy, that those may read who may read the original, and no other backup writes to."""
    try:
        at, name = tempfile.mkstemp(".part", f"{target.name}.", target.parent)
    except OSError as exc:
        kind = PERMISSION_DENIED if isinstance(exc, PermissionError) else UNAVAILABLE
        raise Error(f"{target} cannot be made: {exc.strerror}", kind, retryable=False) from exc
    os.fchmod(at, os.stat(options.path).st_mode & 0o666)
    os.close(at)
    try:
        yield Path(name)
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(f"{name}{ending}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def migrate(options: Options) -> tuple[int, int]:
    """Migrate a database to the schema of this version, as a whole or not at all; return the old and the new version.

    :raises Error: UNAVAILABLE while workers have it open.
    """
    with opened(options, any_version=True) as raw:
        before = _version(raw)
        if before == VERSION:
            return before, before
        raw.execute("BEGIN IMMEDIATE")
        try:
            _check_idle(raw, options)
            for text in steps(before):
                for statement in statements(text):
                    raw.execute(statement)
            raw.execute(f"PRAGMA user_version = {VERSION}")
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise
        return before, VERSION


def steps(before: int) -> list[str]:
    """What leads from a version of the schema to this one.

    :raises Error: INTERNAL when there is no way.
    """
    for version in range(before, VERSION):
        if version not in MIGRATIONS:
            raise Error(f"there is no way from schema {version} to a newer one", INTERNAL, retryable=False)
    return [MIGRATIONS[version] for version in range(before, VERSION)]


def _check_idle(raw: sqlite3.Connection, options: Options) -> None:
    clock = SteadyClock()
    clock.load(SqliteTransaction(raw, "", clock))
    row = raw.execute("SELECT count(*) FROM sessions WHERE until > ?", (clock.now(),)).fetchone()
    if row[0]:
        raise Error(
            f"{options.path} is in use by {row[0]} process{'' if row[0] == 1 else 'es'}",
            UNAVAILABLE,
            hint="stop all its workers first",
        )


def vacuum(options: Options) -> tuple[int, int]:
    """Return unused space to the disk; return the sizes before and after, in bytes."""
    with opened(options) as raw:
        before = os.stat(options.path).st_size
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return before, os.stat(options.path).st_size
