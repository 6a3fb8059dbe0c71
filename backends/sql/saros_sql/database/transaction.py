"""A transaction, as the parts of the store see it."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from saros.interfaces.history import UNTIL_CLOSED

from .changes import Row

TASKS: Final = 1
ACTIVITIES: Final = 2
OUTBOX: Final = 4
NODES: Final = 8
SESSIONS: Final = 16
EVERYTHING: Final = 31
LEFT: Final = {
    TASKS: "SELECT 1 FROM runs WHERE ready IS NOT NULL LIMIT 1",
    ACTIVITIES: "SELECT 1 FROM activities WHERE ready IS NOT NULL LIMIT 1",
    OUTBOX: "SELECT 1 FROM outbox WHERE owner IS NULL AND waits = 0 LIMIT 1",
}
CLOSED: Final = UNTIL_CLOSED + 1
"""Stands for the length of a history whose run has ended."""
MOST_RUNS: Final = 100


class Touched(msgspec.Struct, array_like=True):
    """What transactions have changed, to wake those who wait for it.

    :ivar topics: the topics that may have something to take.
    :ivar runs: run id -> the present length of its history, or CLOSED.
    :ivar due: the earliest new deadline, by the database's steady clock.
    :ivar unknown: there are further changes, which are not listed here.
    """

    topics: int = 0
    runs: dict[str, int] = {}
    due: int | None = None
    unknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.topics or self.runs or self.unknown or self.due is not None)

    def alarm(self, due: int) -> None:
        if self.due is None or due < self.due:
            self.due = due

    def changed(self, run_id: str, length: int) -> None:
        self.runs[run_id] = length

    def add(self, more: Touched) -> None:
        self.topics |= more.topics
        self.unknown = self.unknown or more.unknown
        self.runs.update(more.runs)
        if more.due is not None:
            self.alarm(more.due)

    def cut(self) -> Touched:
        """Return as much of it as fits into one datagram."""
        if len(self.runs) <= MOST_RUNS:
            return self
        return Touched(EVERYTHING, {}, self.due, True)


class Transaction(abc.ABC):
    """Statements of one transaction. SQL is written with ``?`` for parameters.

    :ivar owner: the session of this store, which owns its leases.
    :ivar now: the time of day, in nanoseconds since 1970.
    :ivar steady: the database's steady clock, in nanoseconds; only differences mean something.
    :ivar touched: what the transaction changes.
    :ivar looked: topics of which others may have changed something.
    :ivar lasting: it has to be on the disk, for no store would notice that it is lost.
    :ivar passed_over: topics of which something was left to others, who had locked it just then.
    :ivar doubtful: topics of which it has taken something: the commit takes those out of `touched` that have nothing
        left, for nobody else needs to look for them.
    """

    owner: str
    now: int
    steady: int
    touched: Touched
    looked: int = 0
    passed_over: int = 0
    lasting: bool = False
    doubtful: int = 0

    skip_locked: str = ""
    """Ends a SELECT of rows to lease: others' are left out."""

    def by_the_day(self, steady: int) -> int:
        """Convert a time of the steady clock to the time of day."""
        return self.now - self.steady + steady

    @property
    @abc.abstractmethod
    def writes(self) -> int:
        """A number that has grown when something has changed, or may have."""
        ...

    @abc.abstractmethod
    def all(self, sql: str, *args: Any) -> list[Row]: ...

    @abc.abstractmethod
    def run(self, sql: str, *args: Any) -> int:
        """Run a statement that changes rows; return their number."""
        ...

    def one(self, sql: str, *args: Any) -> Row | None:
        rows = self.all(sql, *args)
        return rows[0] if rows else None

    @abc.abstractmethod
    def later(self, sql: str, *args: Any) -> None:
        """Run a statement that changes rows, and whose result nobody needs. It may run later, but before the next
        one that gives something; then that one fails if this one does."""
        ...

    @abc.abstractmethod
    def many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run such a statement for several rows of parameters."""
        ...

    @abc.abstractmethod
    def flush(self) -> None:
        """Run what was left for later."""
        ...

    @abc.abstractmethod
    def drop(self) -> None:
        """Forget what was left for later."""
        ...

    def each(self, sql: str, keys: Sequence[Any]) -> list[list[Row]]:
        """Return what a query with one parameter finds for each key, in the order of its first column."""
        return [self.all(sql, key) for key in keys]

    def holds(self, ids: Sequence[str]) -> bool:
        """Whether it has locked all these names before."""
        return True

    def left(self, topics: int) -> int:
        """Return those of the topics that still have something to take."""
        for topic, sql in LEFT.items():
            if topics & topic and not self.all(sql):
                topics &= ~topic
        return topics

    def lock(self, *names: str) -> None:
        """Wait for other transactions that have locked one of the names, until this one ends.

        Whoever changes anything of an execution, or a registered name, has locked its id, or that name. A database
        with one writer needs no locks.
        """
        return

    def claim(self, ids: Sequence[str], topic: int = 0) -> set[str]:
        """Lock those of the names that no other transaction has locked.

        :param topic: of it, the other ones are looked for again soon.
        """
        return set(ids)

    def absent(self, owners: Sequence[str]) -> list[str]:
        """Those of the sessions whose processes are not connected to the database, where it tells that."""
        return []

    @abc.abstractmethod
    def token(self) -> str:
        """Return a unique token."""
        ...


def marks(values: Iterable[Any]) -> str:
    """Return the SQL placeholders for a list of values."""
    return ", ".join("?" for _ in values)


def padded(values: Sequence[Any]) -> list[Any]:
    """Return the values, the last one repeated: a statement with a list has few texts then, and is prepared once."""
    return [*values, *[values[-1]] * ((1 << (len(values) - 1).bit_length()) - len(values))]


def oldest(
    tx: Transaction, columns: str, table: str, key: str, queues: Sequence[str], limit: int, end: str = ""
) -> list[Row]:
    """Rows of a table of tasks that are ready in these queues; the longest ready first."""
    return tx.all(
        f"SELECT {columns} FROM {table} WHERE ready IS NOT NULL AND task_queue IN ({marks(queues)})"
        f" ORDER BY ready, {key} LIMIT ?{end}",
        *queues,
        limit,
    )
