"""The contract of a `Store`: everything that the durable engine needs from a database.

One rule keeps it small: **everything that reaches an execution is mail in its inbox**: its start, messages,
results of activities, fired timers, exits of children. A workflow task is *take* (mail and a fence), run the
program, *commit*; the commit happens as a whole, or not at all (see invariant 1 of the architecture).

What a commit does to *others* leaves through the outbox: the store hands out the entries, the engine's
outbox worker delivers them, and the reply comes back as mail. Entries are delivered at least once; `Mail.key`
makes a repeated delivery harmless.

All times are nanoseconds since 1970 by the store's own clock, for people to read. Anything that must happen
later is given as a duration: a store measures it with a monotonic clock (see `saros.model.clock`), or corrects
for changes when its clock is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ..model.errors import INVALID, Error
from ..model.execution import Record, Run
from ..model.records import EVENT_OPS
from ..model.values import Json
from .activities import ActivityLease, ActivityStore, ActivityTask
from .history import Close, HistoryStore
from .insight import InsightStore
from .nodes import NodeStore
from .signals import Child, Outgoing, SignalStore
from .timers import Deadline, TimerStore


class Commit(msgspec.Struct):
    """One workflow task's whole effect."""

    run: Run
    fence: str
    expected: int  # history length from which the task was computed
    consumed: int  # number of mails
    records: list[Record] = []
    activities: list[ActivityTask] = []
    leased: list[
        ActivityLease
    ] = []  # activities whose attempts already run here, with their tokens, as if they had been taken
    canceled: list[int] = []  # activities to drop; a running attempt is told at its next heartbeat
    asked: list[
        int
    ] = []  # activities to cancel whose own end still counts; they may be among `activities` and `leased`
    deadlines: list[Deadline] = []
    cleared: list[int] = []  # timers to drop
    outbox: list[Outgoing] = []
    children: list[Child] = []  # started by the outbox, and affected by the run's end
    ended: list[int] = []  # refs of the children whose end the run has received
    search: dict[str, msgspec.Raw] = {}  # upserts; JSON null removes
    memo: dict[str, msgspec.Raw] = {}
    close: Close | None = None


OK: Final = "ok"
FENCED: Final = "fenced"  # another worker owns the task: forget the program
CONFLICT: Final = "conflict"  # the history differs from that of the task: load it again


class Store(HistoryStore, TimerStore, SignalStore, ActivityStore, NodeStore, InsightStore, Protocol):
    """A database of executions. Every method raises `saros.Error` of kind UNAVAILABLE when it cannot be reached."""

    @property
    def url(self) -> str:
        """The address of the store, without secrets; for messages."""
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        """Apply each commit atomically; OK, FENCED or CONFLICT for each."""
        ...

    def last_words(self) -> Store | str:
        """A store of the same database that another thread may open, for a process that a program has blocked and
        that is about to end. If the data ends with the process, a sentence that says what is lost.
        """
        ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...


COMMIT: Final = 8
"""The largest commit, as a multiple of the largest value, without `TASK_MAIL`."""
TASK_MAIL: Final = 64 << 20
"""Bytes of mail that a workflow task delivers; a single mail may be larger. The rest waits for the next task, so
that whatever is valid by itself fits into a commit, however much of it waits."""


def check_size(body: Json, most: int, what: str) -> None:
    """Refuse a value that is too large for a store whose URL has `payload=` as its limit, in bytes.

    :raises Error: INVALID.
    """
    if len(body) > most:
        raise Error(
            f"{what} has {len(body):,} bytes, and the limit is {most:,}",
            INVALID,
            retryable=False,
            hint="store large data elsewhere and pass a reference, or raise payload= in the backend URL",
        )


def too_large(commit: Commit, most: int) -> str | None:
    """Return why a commit is too large for such a store, or None."""
    for record in commit.records:
        if len(record.body) > most:
            return f"its {record.op} has {len(record.body):,} bytes, and the limit is {most:,} (payload=)"
    total = sum(record.size for record in commit.records)
    if total > COMMIT * most:
        total -= min(TASK_MAIL, sum(record.size for record in commit.records if record.op in EVENT_OPS))
    if total > COMMIT * most:
        return f"one step recorded {total:,} bytes, and the limit is {COMMIT * most:,} (payload=)"
    return None
