"""SQLite connections, and SQLite's errors as errors for users."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from saros.model.errors import INTERNAL, INVALID, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, Error

from ..options import Options
from .boot import SteadyClock
from .changes import Row
from .connection import Refused, Unsure
from .operations import Operation
from .schema import VERSION
from .transaction import EVERYTHING, Touched, Transaction

SHORTEST_S: Final = 0.0002
LONGEST_S: Final = 0.01
"""The pause between attempts to begin while another process writes: about as long as a write takes."""


class SqliteTransaction(Transaction):
    def __init__(self, connection: sqlite3.Connection, owner: str, clock: SteadyClock) -> None:
        self.owner = owner
        self.touched = Touched()
        self.steady = clock.now()
        self.now = time.time_ns()
        self._connection = connection
        self._execute = connection.execute
        self._executemany = connection.executemany

    @property
    def writes(self) -> int:
        return self._connection.total_changes

    def all(self, sql: str, *args: Any) -> list[Row]:
        return self._execute(sql, args).fetchall()

    def run(self, sql: str, *args: Any) -> int:
        return self._execute(sql, args).rowcount

    def later(self, sql: str, *args: Any) -> None:
        self._execute(sql, args)

    def many(self, sql: str, rows: Sequence[Row]) -> None:
        if rows:
            self._executemany(sql, rows)

    def flush(self) -> None:
        """Nothing is left for later."""

    def drop(self) -> None:
        """Nothing is left for later."""

    def token(self) -> str:
        return f"{self.owner}:{os.urandom(8).hex()}"


class SqliteConnection:
    """See `Connection`.

    :param owner: the session of the store.
    :param reads: whether the connection only reads.
    """

    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(
        self, connection: sqlite3.Connection, options: Options, owner: str, clock: SteadyClock, reads: bool
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._options = options
        self._owner = owner
        self._clock = clock
        self._reads = reads
        self._full: bool | None = None
        self._files: dict[str, tuple[int, int] | None] = {}
        self._version = 0

    def adopt(self) -> None:
        """From now on, the database and its log must not go away."""
        log = os.path.realpath(self._options.path)
        self._files = {path: identity(path) for path in (self._options.path, f"{log}-wal", f"{log}-shm")}

    def begin(self, operations: Sequence[Operation]) -> SqliteTransaction:
        try:
            self._check_files()
            if self._reads and all(operation.bare for operation in operations):
                transaction = SqliteTransaction(self._connection, self._owner, self._clock)
            else:
                transaction = self.begun(any(operation.full for operation in operations))
            self._check_schema()
            return transaction
        except sqlite3.Error as exc:
            raise Refused(self.explain(exc)) from exc
        except Error as exc:
            raise Refused(exc) from exc

    def begun(self, full: bool) -> SqliteTransaction:
        if self._reads:
            self._execute("BEGIN")
        else:
            full = full and self._options.full
            if full is not self._full:
                self._execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            self._begin()
        return SqliteTransaction(self._connection, self._owner, self._clock)

    def _begin(self) -> None:
        """Begin as soon as no other process writes. All pause for about the same time, so that each gets its turn."""
        until = time.monotonic() + self._options.busy / 1e9
        wait = SHORTEST_S
        while True:
            try:
                self._execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as exc:
                if _code(exc) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(wait * (0.5 + random.random()))
            wait = min(wait * 1.5, LONGEST_S)

    def _check_files(self) -> None:
        """Check that what is open still has its paths; writes to deleted files would be lost.

        :raises Error: NOT_FOUND.
        """
        for path, file in self._files.items():
            if identity(path) == file:
                continue
            what = "database" if path == self._options.path else "log of the database"
            raise Error(
                f"the {what} {path} was deleted, emptied, moved or replaced while it was open",
                NOT_FOUND,
                retryable=False,
                hint="put the file back if you have it, and start the workers again",
            )

    def _check_schema(self) -> None:
        """Check that nobody has migrated the database; a process that only makes requests does not keep one from it.

        :raises Error: INVALID.
        """
        (version,) = self._execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            self.rollback()
            raise Error(
                f"{self._options.path} was migrated to schema {version} while it was open; this version of"
                f" Saros supports {VERSION}",
                INVALID,
                retryable=False,
                hint="update Saros here as well",
            )

    def commit(self, transaction: Transaction) -> None:
        if transaction.doubtful:
            transaction.touched.topics = transaction.left(transaction.doubtful)
        if self._connection.in_transaction:
            self._execute("COMMIT")

    def rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")
        except sqlite3.Error:  # the transaction has already ended
            pass

    def happened(self, unsure: Unsure) -> bool | None:
        return False  # it always tells

    def passes(self, failure: Exception, begun: float) -> bool:
        return False

    def explain(self, failure: Exception) -> Error:
        return explain(failure, self._options)

    def idle(self) -> Touched | None:
        self._check_files()
        version = self._execute("PRAGMA data_version").fetchone()[0]
        before, self._version = self._version, version
        return Touched(EVERYTHING, {}, 0, True) if before != version else None

    def close(self) -> None:
        self._connection.close()


def identity(path: str) -> tuple[int, int] | None:
    """Return what distinguishes a file from another one with the same path; None if there is no file.

    Nobody empties a file that is in use, but for the log.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size or path.endswith("-wal") else None


def _code(exc: Exception) -> int:
    """Return the primary result code of an SQLite error."""
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


_MEANINGS: Final[dict[int, tuple[str, str, str | None]]] = {
    sqlite3.SQLITE_BUSY: (
        UNAVAILABLE,
        "other processes have kept it locked for too long",
        "look for a stopped process, or another program that has the file open for writing",
    ),
    sqlite3.SQLITE_PROTOCOL: (UNAVAILABLE, "other processes have kept its log locked for too long", None),
    sqlite3.SQLITE_FULL: (UNAVAILABLE, "the disk is full", None),
    sqlite3.SQLITE_IOERR: (
        UNAVAILABLE,
        "reading or writing the file failed",
        "check whether the disk is full or faulty",
    ),
    sqlite3.SQLITE_READONLY: (
        PERMISSION_DENIED,
        "it is read-only",
        "Saros writes to the file and to its directory",
    ),
    sqlite3.SQLITE_PERM: (PERMISSION_DENIED, "this user has no permission to open it", None),
    sqlite3.SQLITE_CANTOPEN: (
        PERMISSION_DENIED,
        "it cannot be opened",
        "check that this user may write to its directory",
    ),
    sqlite3.SQLITE_CORRUPT: (
        INVALID,
        "it is damaged",
        "restore a backup; saros db info --check may tell what is damaged",
    ),
    sqlite3.SQLITE_NOTADB: (INVALID, "it is not a SQLite database", None),
    sqlite3.SQLITE_TOOBIG: (INVALID, "a value is too large for it", None),
}


def explain(failure: Exception, options: Options) -> Error:
    """Turn an error of SQLite into an error for users."""
    kind, what, hint = _MEANINGS.get(_code(failure), (INTERNAL, "SQLite refused a statement", None))
    retryable = kind == UNAVAILABLE
    return Error(f"{options.path}: {what} ({failure})", kind, retryable=retryable, hint=hint)
