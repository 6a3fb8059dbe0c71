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
"""As the length of a history: its run has ended."""
MOST_RUNS: Final = 100


class Touched(msgspec.Struct, array_like=True):
    """What transactions have changed, for whoever waits for that.

    :ivar topics: of what there may be something to take.
    :ivar runs: run id -> how long its history is now, or CLOSED.
    :ivar due: when the earliest of the new deadlines is due, by the database's steady clock.
    :ivar unknown: there is more than is said here.
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
        """As much of it as fits into a message."""
        if len(self.runs) <= MOST_RUNS:
            return self
        return Touched(EVERYTHING, {}, self.due, True)


class Transaction(abc.ABC):
    """Statements of one transaction. SQL is written with ``?`` for parameters.

    :ivar owner: the session of this store, which owns what is leased.
    :ivar now: the time of day, in nanoseconds since 1970.
    :ivar steady: the database's steady clock, in nanoseconds; only differences mean something.
    :ivar touched: what the transaction changes.
    :ivar looked: topics of which others may have changed something.
    """

    owner: str
    now: int
    steady: int
    touched: Touched
    looked: int = 0

    skip_locked: str = ""
    """Ends a SELECT of rows to lease: others' are left out."""
    for_update: str = ""
    """Ends a SELECT of rows to change."""

    def by_the_day(self, steady: int) -> int:
        """The time of day of a moment that is known by the steady clock."""
        return self.now - self.steady + steady

    @abc.abstractmethod
    def all(self, sql: str, *args: Any) -> list[tuple[Any, ...]]: ...

    @abc.abstractmethod
    def run(self, sql: str, *args: Any) -> int:
        """Change rows; gives how many."""
        ...

    @abc.abstractmethod
    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None: ...

    def one(self, sql: str, *args: Any) -> tuple[Any, ...] | None:
        rows = self.all(sql, *args)
        return rows[0] if rows else None

    def left(self, topics: int) -> int:
        """Those of the topics of which there is something to take, for anybody."""
        for topic, sql in _LEFT.items():
            if topics & topic and not self.all(sql):
                topics &= ~topic
        return topics

    @abc.abstractmethod
    def lock(self, name: str) -> None:
        """Wait for other transactions that have locked the same name, until this one ends."""
        ...

    @abc.abstractmethod
    def token(self) -> str:
        """A text that is used once."""
        ...


def marks(values: Iterable[Any]) -> str:
    """The parameters of a list in SQL."""
    return ", ".join("?" for _ in values)
