"""One run in memory: its history, its inbox, and its commands under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from saros.insight.presence import identity
from saros.interfaces.activities import ActivityTask
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingTask,
    failure_of,
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
from saros.model.records import Attributes
from saros.model.search import upserted
from saros.model.values import Json, readable


class OpenActivity(msgspec.Struct, eq=False):
    """An activity that has not settled.

    `token` is the running attempt's token, if any; `closes` is the time of its close by the steady clock.
    The other times are for people, by the store's clock.
    """

    task: ActivityTask
    token: str = ""
    started: int | None = None  # the attempt that runs
    canceled: bool = False
    closes: int | None = None
    due: int | None = None  # the next attempt
    failure: Failure | None = None  # of the last attempt
    beaten: int | None = None  # the last heartbeat

    def take(self, token: str, now: int) -> None:
        self.token, self.started, self.due = token, now, None

    def fail(self, outcome: Json, due: int) -> None:
        """Note that another attempt follows."""
        self.task = msgspec.structs.replace(self.task, attempt=self.task.attempt + 1)
        self.token, self.started, self.due, self.failure = "", None, due, failure_of(outcome)

    def pending(self) -> PendingActivity:
        found = pending_activity(self.task)
        found.started, found.next_attempt, found.failure = self.started, self.due, self.failure
        found.worker = identity() if self.token else ""
        found.heartbeat_time, found.canceled = self.beaten, self.canceled
        return found


class Execution:
    __slots__ = (
        "activities",
        "alarms",
        "began",
        "begins",
        "children",
        "close_time",
        "delayed",
        "failures",
        "fence",
        "inbox",
        "joined",
        "memo",
        "next_run_id",
        "next_try",
        "parked",
        "problem",
        "queued",
        "records",
        "run",
        "running",
        "search",
        "since",
        "size",
        "starting",
        "status",
        "timers",
        "watchers",
    )

    def __init__(self, run: Run, mails: Iterable[Mail], watchers: Iterable[Watcher], began: int) -> None:
        self.run = run
        self.began = began  # the steady clock's time at which the first run was started
        self.status = RUNNING
        self.running = True
        self.records: list[Record] = []
        self.size = 0
        self.inbox: deque[Mail] = deque(mails)
        self.watchers = list(watchers)
        self.joined: set[str] = set()  # start requests that found it running
        self.children: dict[int, Child] = {}  # by the command that started them
        self.activities: dict[int, OpenActivity] = {}
        self.timers: dict[int, list[Handle]] = {}
        self.alarms: list[Handle] = []
        self.search: dict[str, msgspec.Raw] = {}
        self.memo: dict[str, msgspec.Raw] = {}
        self.queued = False  # waits for a worker
        self.delayed = False  # whether a delay keeps it from running
        self.starting: Handle | None = None  # ends the delay before its first task
        self.fence = ""  # the worker that runs it
        self.failures = 0
        self.problem: str | None = None
        # For people, by the store's clock:
        self.since = 0  # it waits for a worker, or has one
        self.begins: int | None = None
        self.parked: int | None = None
        self.next_try: int | None = None
        self.close_time: int | None = None
        self.next_run_id = ""

    @property
    def retries(self) -> bool:
        """Whether an attempt of an open activity has failed."""
        return any(activity.task.attempt > 1 for activity in self.activities.values())

    def append(self, records: Sequence[Record]) -> None:
        self.records.extend(records)
        for record in records:
            self.size += record.size

    def upsert(self, attributes: Attributes) -> None:
        self.search = upserted(self.search, attributes.search)
        self.memo = upserted(self.memo, attributes.memo)

    def watch(self, watcher: Watcher) -> None:
        """Tell a watcher about the end; a watcher that no command waits for is told once."""
        self.unwatch("" if watcher.ref else watcher.pid)
        self.watchers.append(watcher)

    def unwatch(self, pid: str) -> None:
        self.watchers = [w for w in self.watchers if w.pid != pid or w.ref]

    def clear(self, ref: int) -> None:
        """Stop the work that waits under `ref`."""
        for handle in self.timers.pop(ref, ()):
            handle.cancel()

    def drop_activity(self, ref: int) -> None:
        self.activities.pop(ref, None)
        self.clear(ref)

    def hurry(self) -> list[ActivityTask]:
        """The activities that wait for a retry, which now may run. When their time comes, they have begun."""
        waiting = [each for each in self.activities.values() if each.due is not None]
        for activity in waiting:
            activity.due = None
        return [activity.task for activity in waiting]

    def close(self, status: str, now: int) -> None:
        self.status, self.running, self.close_time = status, False, now
        for ref in list(self.timers):
            self.clear(ref)
        for alarm in self.alarms:
            alarm.cancel()
        self.alarms.clear()
        self.activities.clear()
        self.starting = None
        self.problem = None

    def park(self, problem: str, now: int, delay: int) -> None:
        if self.problem is None:
            self.parked = now
        self.failures += 1
        self.problem, self.next_try = problem, now + delay if delay >= 0 else None

    def pending(self) -> Pending:
        run = self.run
        found = Pending(run.id, run.run_id, self.status, run.task_queue)
        if not self.running:
            return found
        found.activities = [activity.pending() for _, activity in sorted(self.activities.items())]
        if self.problem is not None:
            found.parked = Parked(self.problem, self.failures, self.parked, self.next_try)
        if self.fence:
            found.task = PendingTask(run.task_queue, self.since, self.failures + 1, self.since, identity())
        elif self.queued:
            found.task = PendingTask(run.task_queue, self.since, self.failures + 1)
        elif self.starting is not None:
            found.begins = self.begins
        return found

    def description(self) -> Description:
        run = self.run
        return Description(
            run.id,
            run.run_id,
            str(run.pid),
            run.type,
            run.entry,
            self.status,
            run.task_queue,
            run.start_time,
            self.close_time,
            len(self.records),
            self.size,
            run.attempt,
            run.parent.pid if run.parent else None,
            {name: readable(raw) for name, raw in self.search.items()},
            {name: readable(raw) for name, raw in self.memo.items()},
            self.problem,
        )
