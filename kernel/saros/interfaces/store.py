"""The contract of a `Store`: all that the durable engine needs of a database.

One rule keeps it small: **everything that reaches an execution is mail in its inbox**: its start, messages,
results of activities, fired timers, exits of children. A workflow task is *take* (mail and a fence), run the
program, *commit*; the commit happens as a whole, or not at all (see invariant 1 of the architecture).

What a commit does to *others* leaves through its outbox: the store hands the entries out, the engine's
outbox worker delivers them, and the reply comes back as mail. Entries are delivered at least once; `Mail.key`
makes a repeated delivery harmless.

All times are nanoseconds since 1970 by the store's own clock, for people to read. What has to happen later is
given as a duration: a store measures it by a clock that nobody sets (see `saros.model.clock`), or makes up
for it when its clock is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ..model.execution import Record, Run
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
    expected: int  # history length that the task was computed from
    consumed: int  # number of mails
    records: list[Record] = []
    activities: list[ActivityTask] = []
    leased: list[
        ActivityLease
    ] = []  # activities whose attempt runs here already, under this token: as if it had been taken
    canceled: list[int] = []  # activities to drop; a running attempt hears of it with its next heartbeat
    asked: list[
        int
    ] = []  # activities to cancel whose own end still counts; they may be among `activities` and `leased`
    deadlines: list[Deadline] = []
    cleared: list[int] = []  # timers to drop
    outbox: list[Outgoing] = []
    children: list[Child] = []  # that the outbox starts, and that the run's end concerns
    ended: list[int] = []  # children (their refs) whose end the run has heard of
    search: dict[str, msgspec.Raw] = {}  # upserts; JSON null removes
    memo: dict[str, msgspec.Raw] = {}
    close: Close | None = None


OK: Final = "ok"
FENCED: Final = "fenced"  # another worker owns the task: forget the program
CONFLICT: Final = "conflict"  # the history is not what the task was computed from: load it again


class Store(HistoryStore, TimerStore, SignalStore, ActivityStore, NodeStore, InsightStore, Protocol):
    """A database of executions. Every method raises `saros.Error` of kind UNAVAILABLE when it cannot be reached."""

    @property
    def url(self) -> str:
        """Where it is, without secrets; for messages."""
        ...

    # --- clients ----------------------------------------------------------------------------

    # --- names ------------------------------------------------------------------------------

    # --- workers ----------------------------------------------------------------------------

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        """Apply each commit atomically; OK, FENCED or CONFLICT for each."""
        ...

    def last_words(self) -> Store | str:
        """For a process that a program has blocked, and that is about to end: a store of the same database, which
        another thread may open; or, when all that it holds ends with the process, what is lost.
        """
        ...

    # --- nodes: processes that have actors --------------------------------------------------

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None: ...

    async def close(self) -> None: ...
