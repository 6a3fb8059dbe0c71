"""A transaction, as the parts of the store see it."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from saros.interfaces.history import UNTIL_CLOSED

TASKS: Final = 1
ACTIVITIES: Final = 2
OUTBOX: Final = 4
NODES: Final = 8
SESSIONS: Final = 16
EVERYTHING: Final = 31
_LEFT: Final = {
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

    def cut(self) -> Touched:
        """Return as much of it as fits into one datagram."""
        if len(self.runs) <= MOST_RUNS:
            return self
        return Touched(EVERYTHING, {}, self.due, True)


class Transaction(abc.ABC):
    """Statements of one transaction. SQL is written with ``?`` for parameters.

    :ivar owner: the session of this store, which owns its leases.
    :ivar now: the time of day, in nanoseconds since 1970.
    :ivar steady: the database's steady clock, in nanoseconds; only differences between its values have a meaning.
    :ivar touched: the changes of this transaction.
    :ivar looked: topics in which other processes may have changed something.
    """

    owner: str
    now: int
    steady: int
    touched: Touched
    looked: int = 0

    skip_locked: str = ""
    """The end of a SELECT of rows to lease; it skips rows that another transaction has locked."""
    for_update: str = ""
    """The end of a SELECT of rows to change."""

    def by_the_day(self, steady: int) -> int:
        """Convert a time of the steady clock to the time of day."""
        return self.now - self.steady + steady

    @abc.abstractmethod
    def all(self, sql: str, *args: Any) -> list[tuple[Any, ...]]: ...

    @abc.abstractmethod
    def run(self, sql: str, *args: Any) -> int:
        """Run a statement that changes rows; return their number."""
        ...

    @abc.abstractmethod
    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None: ...

    def one(self, sql: str, *args: Any) -> tuple[Any, ...] | None:
        rows = self.all(sql, *args)
        return rows[0] if rows else None

    def left(self, topics: int) -> int:
        """Return those of the topics that still have something to take."""
        for topic, sql in _LEFT.items():
            if topics & topic and not self.all(sql):
                topics &= ~topic
        return topics

    @abc.abstractmethod
    def lock(self, name: str) -> None:
        """Lock a name until this transaction ends; wait while another transaction holds it."""
        ...

    @abc.abstractmethod
    def token(self) -> str:
        """Return a unique token."""
        ...


def marks(values: Iterable[Any]) -> str:
    """Return the SQL placeholders for a list of values."""
    return ", ".join("?" for _ in values)
