"""What the backend ``dict://`` keeps of one execution."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from saros.insight.presence import identity
from saros.interfaces.activities import ActivityTask
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingTask,
    pending_activity,
)
from saros.interfaces.signals import Child, Mail
from saros.model.clock import Handle
from saros.model.execution import (
    RUNNING,
    Description,
    Record,
    Run,
    Watcher,
)
from saros.model.values import readable


@dataclass(eq=False)
class Call:
    """An activity that has not ended: `token` names the running attempt, `closes` is when the activity times out."""

    task: ActivityTask
    token: str = ""
    ready: bool = True  # for a worker to take
    canceled: bool = False
    closes: int | None = None
    started: int | None = None  # wall-clock times, shown to people: of the running attempt
    due: int | None = None  # of the next attempt
    failure: Failure | None = None
    beaten: int | None = None

    def pending(self) -> PendingActivity:
        found = pending_activity(self.task)
        found.started, found.next_attempt, found.failure = self.started, self.due, self.failure
        found.worker, found.heartbeat_time = identity() if self.token else "", self.beaten
        found.canceled = self.canceled
        return found


@dataclass(eq=False)
class Execution:
    """One run: its history, its inbox, and its open activities, timers and children."""

    run: Run
    inbox: list[Mail]
    watchers: list[Watcher]
    began: int  # when its first run started, by the monotonic clock
    joined: set[str]  # start requests that joined it while it ran
    search: dict[str, msgspec.Raw]
    memo: dict[str, msgspec.Raw]
    status: str = RUNNING
    records: list[Record] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    timers: dict[int, list[Handle]] = field(default_factory=dict)
    fence: str = ""  # of the worker that has leased it
    held: bool = False  # parked, or its start is delayed
    parked: int = 0  # number of attempts in a row
    problem: str | None = None
    since: int = 0  # shown to people: when it received a message, or when a worker took it
    parked_since: int | None = None
    next_try: int | None = None
    close_time: int | None = None
    next_run_id: str = ""

    def pending(self) -> Pending:
        queue = self.run.task_queue
        found = Pending(self.run.id, self.run.run_id, self.status, queue)
        if not self.running:
            return found
        found.activities = [call.pending() for _, call in sorted(self.calls.items())]
        if self.problem is not None:
            found.parked = Parked(self.problem, self.parked, self.parked_since, self.next_try)
        elif self.held:
            found.begins = self.next_try
        if self.fence:
            found.task = PendingTask(queue, self.since, self.parked + 1, self.since, identity())
        elif self.inbox and not self.held:
            found.task = PendingTask(queue, self.since, self.parked + 1)
        return found

    @property
    def running(self) -> bool:
        return self.status == RUNNING

    def clear(self, ref: int) -> None:
        for timer in self.timers.pop(ref, ()):
            timer.cancel()

    def drop(self, ref: int) -> None:
        self.calls.pop(ref, None)
        self.clear(ref)

    def description(self) -> Description:
        run = self.run
        search = {name: readable(raw) for name, raw in self.search.items()}
        memo = {name: readable(raw) for name, raw in self.memo.items()}
        size, parent = sum(record.size for record in self.records), run.parent.pid if run.parent else None
        about = (run.id, run.run_id, str(run.pid), run.type, run.entry, self.status, run.task_queue)
        when = (run.start_time, self.close_time, len(self.records), size, run.attempt)
        return Description(*about, *when, parent, search, memo, self.problem)
