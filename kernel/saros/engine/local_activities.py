"""Local activities: they run inside their workflow's own task, without a queue.

Their first attempts run here, while the task is open. An activity that has not ended when the task commits becomes,
in the same commit, an activity of the store that is leased to this worker. From then on it is like any other: its
worker keeps the lease and settles it, another takes over a lost lease, and further attempts come from the queue.
"""

from __future__ import annotations

import asyncio

from anyio import move_on_after

from ..interfaces.activities import ActivityLease
from ..interfaces.host import Attempt, Attempts
from ..model.execution import new_id
from ..model.records import DONE, Event, Outcome, pack
from ..model.values import Json
from .activity_worker import ActivityWorkers
from .commit import LocalActivity
from .commit_builder import CommitBuilder
from .retry import failure_of, next_delay_ms, start_attempt, tell_attempt, timeout_error

PATIENCE_S = 1.0
"""How long a workflow task may stay open for its local activities; nothing else reaches the workflow meanwhile."""
IN_A_ROW = 100
"""How many local activities may run in one workflow task, as on Temporal."""
ROOM = 256 * 1024
"""Bytes of results that one workflow task may record."""
LARGE = 64 * 1024
"""A result of more bytes goes to the store, which decides whether to accept it."""


class _Running:
    """A local activity that has begun in this task. Its outcome may call for another attempt."""

    def __init__(self, local: LocalActivity, lease: ActivityLease) -> None:
        self.local = local
        self.lease = lease
        self.attempt: Attempt | None = None
        self.outcome: Json | None = None
        self.stopped = False  # has been told that the code cancelled it
        self.dropped = False  # its end is reported to nobody


class LocalActivities:
    """The local activities of one workflow task."""

    def __init__(self, attempts: Attempts, workers: ActivityWorkers, builder: CommitBuilder) -> None:
        self._attempts = attempts
        self._turns = attempts.deployment.turns
        self._workers = workers
        self._builder = builder
        self._running: dict[int, _Running] = {}  # by ref: begun, and not delivered yet
        self._ready: list[int] = []
        self._begun = 0
        self._recorded = 0
        self._must_commit = False  # an activity has ended about which the store must decide
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Run the task's local activities, and deliver their results, until the task must be committed.

        :raises Error: when the workflow task failed.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        builder = self._builder
        while not builder.live.closed and loop.time() < until:
            await self._begin()
            if self._ready:
                if not await self._turns.step(self._deliver):
                    break
            elif self._must_commit or builder.local or not self._waiting():
                break
            else:
                self._news.clear()
                with move_on_after(until - loop.time()):
                    await self._news.wait()
        self._leave()

    def _waiting(self) -> bool:
        return any(ref in self._builder.live.open for ref in self._running)

    async def _begin(self) -> None:
        builder = self._builder
        while builder.local and self._begun < IN_A_ROW:
            local = builder.local.pop(0)
            self._begun += 1
            self._start(local)
            await asyncio.sleep(0)  # many activities that end immediately must not block the event loop

    def _start(self, local: LocalActivity) -> None:
        task = self._builder.activities.local_task(local)
        activity = _Running(local, ActivityLease(task, new_id(), task.scheduled))
        self._running[local.ref] = activity
        activity.attempt = start_attempt(
            self._attempts,
            task,
            lambda outcome: self._done(local.ref, activity, outcome),
            lambda details: self._workers.heartbeat(activity.lease, details),
        )
        if activity.attempt is not None:
            limit = local.call.options.schedule_to_close_timeout
            error = timeout_error("schedule_to_close", limit)
            activity.attempt.limit("schedule_to_close", limit, lambda: pack(Outcome(err=error)))

    def _done(self, ref: int, activity: _Running, outcome: Json) -> None:
        if self._running.get(ref) is not activity:
            if not activity.dropped:
                self._workers.done(activity.lease, outcome)
            return
        activity.outcome = outcome
        task = activity.lease.task
        elapsed = self._builder.elapsed(activity.local)
        if len(outcome) > LARGE or (
            next_delay_ms(task.call.options, failure_of(outcome), task.attempt, elapsed) is not None
        ):
            self._must_commit = True
        else:
            self._ready.append(ref)
            failure = failure_of(outcome)
            if failure is not None:
                tell_attempt(task, failure)
        self._news.set()

    def _deliver(self) -> bool:
        """Deliver as many outcomes as there is room for; True if that was all."""
        builder, events = self._builder, []
        now = max(self._attempts.clock.now(), builder.live.time)  # the clock may have been set back
        while self._ready and self._recorded < ROOM:
            ref = self._ready.pop(0)
            outcome = self._running.pop(ref).outcome or b"{}"
            self._recorded += len(outcome)
            events.append(Event(DONE, ref, outcome, now))
        builder.deliver([event for event in events if event.ref in builder.live.open])
        self._stop_cancelled()
        return not self._ready

    def _stop_cancelled(self) -> None:
        """Tell attempts that the code has cancelled them in this task."""
        commit = self._builder.commit
        for ref in (*commit.canceled, *commit.asked):
            activity = self._running.get(ref)
            if activity is not None and activity.attempt is not None and not activity.stopped:
                activity.stopped = True
                activity.attempt.cancel()

    # --- the end of the task ------------------------------------------------------------------

    def _leave(self) -> None:
        """Put unfinished activities into the commit."""
        builder = self._builder
        commit, live = builder.commit, builder.live
        if live.closed:
            return
        for local in builder.local:
            commit.activities.append(builder.activities.local_task(local))
            builder.activities.limit_to_close(local)
        builder.local.clear()
        for ref, activity in self._running.items():
            if ref in live.open:
                commit.leased.append(activity.lease)
                builder.activities.limit_to_close(activity.local)
            elif activity.outcome is not None:
                activity.dropped = True

    def hand_over(self) -> None:
        """Hand running activities over to the activity worker, after the task is committed."""
        running, self._running = self._running, {}
        for activity in running.values():
            if activity.outcome is None and activity.attempt is not None:
                self._workers.adopt(activity.lease, activity.attempt)
            elif activity.outcome is not None and not activity.dropped:
                self._workers.done(activity.lease, activity.outcome)

    def give_up(self) -> None:
        """Stop running activities, because the task has failed or belongs to another worker."""
        running, self._running = self._running, {}
        for activity in running.values():
            activity.dropped = True
            if activity.attempt is not None:
                activity.attempt.abandon()
