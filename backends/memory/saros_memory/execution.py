"""One run in memory: its history, its inbox, and its commands under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from saros.interfaces.activities import ActivityTask
from saros.interfaces.history import already_exists
from saros.interfaces.signals import Child, Mail
from saros.model.clock import Handle
from saros.model.execution import (
    COMPLETED,
    CONTINUED,
    RUNNING,
    Description,
    Record,
    Run,
    StartRequest,
    Watcher,
)
from saros.model.records import Attributes
from saros.model.search import upserted
from saros.model.values import readable


class OpenActivity:
    """An activity that has not settled.

    `token` is the running attempt's token, if any; `closes` is the time of its close by the steady clock.
    """

    __slots__ = ("canceled", "closes", "task", "token")

    def __init__(self, task: ActivityTask, token: str = "") -> None:
        self.task = task
        self.token = token
        self.canceled = False
        self.closes: int | None = None


class Execution:
    __slots__ = (
        "activities",
        "alarms",
        "began",
        "children",
        "close_time",
        "delayed",
        "failures",
        "fence",
        "inbox",
        "joined",
        "memo",
        "next_run_id",
        "problem",
        "queued",
        "records",
        "run",
        "search",
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
        self.close_time: int | None = None
        self.next_run_id = ""

    @property
    def running(self) -> bool:
        return self.status == RUNNING

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

    def close(self, status: str, now: int) -> None:
        self.status, self.close_time = status, now
        for ref in list(self.timers):
            self.clear(ref)
        for alarm in self.alarms:
            alarm.cancel()
        self.alarms.clear()
        self.activities.clear()
        self.starting = None
        self.problem = None

    def check_reuse(self, request: StartRequest) -> None:
        """Refuse to reuse the id of a closed execution if the request's reuse policy says so.

        :raises Error: ALREADY_EXISTS.
        """
        policy = request.options.id_reuse_policy
        if policy == "reject_duplicate":
            raise already_exists(request.id, self.run.run_id, "was used before")
        if policy == "allow_duplicate_failed_only" and self.status in (COMPLETED, CONTINUED):
            raise already_exists(request.id, self.run.run_id, "has completed before")

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
