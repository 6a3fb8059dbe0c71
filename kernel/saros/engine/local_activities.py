"""Local activities: calls that run inside their workflow's own task, without a queue.

Their first attempts run here, while the task is open. What has not ended when the task commits is in the same
commit: a call of the store, leased to this worker. From then on it is like any other: its worker keeps the
lease and settles it, another one takes it over when that is lost, and further attempts come from the queue.
"""

from __future__ import annotations

import asyncio

from anyio import move_on_after

from ..interfaces.activities import CallLease
from ..interfaces.host import Attempt, Attempts
from ..model.execution import new_id
from ..model.records import DONE, Event, Outcome, pack
from ..model.values import Json
from .activity_worker import CallWorkers
from .commit import LocalCall
from .retry import failure_of, next_delay_ms, start_attempt, timeout_error
from .transition import Transition

PATIENCE_S = 1.0
"""How long a workflow task may stay open for its local calls; nothing else reaches the workflow meanwhile."""
IN_A_ROW = 100
"""So many local calls may run in one workflow task, as on Temporal."""
ROOM = 256 * 1024
"""Bytes of results that one workflow task may record."""
LARGE = 64 * 1024
"""Bytes of a result that the store itself is to judge."""


class _Call:
    """A local call that has begun in this task. Its outcome may be one that is to be tried again."""

    def __init__(self, local: LocalCall, lease: CallLease) -> None:
        self.local = local
        self.lease = lease
        self.attempt: Attempt | None = None
        self.outcome: Json | None = None
        self.stopped = False  # was told that the code has cancelled it
        self.dropped = False  # nobody is to hear of its end


class LocalCalls:
    """The local calls of one workflow task."""

    def __init__(self, attempts: Attempts, workers: CallWorkers, transition: Transition) -> None:
        self._attempts = attempts
        self._workers = workers
        self._transition = transition
        self._calls: dict[int, _Call] = {}  # by ref: what has begun and is not delivered
        self._ready: list[int] = []
        self._begun = 0
        self._recorded = 0
        self._must_commit = False  # something has ended that the store is to decide about
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Run the task's local calls, and deliver what they give, until the task is to be committed.

        :raises Error: when the workflow task failed.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        transition = self._transition
        while not transition.live.closed and loop.time() < until:
            await self._begin()
            if self._ready:
                if not self._deliver():
                    break
            elif self._must_commit or transition.local or not self._waiting():
                break
            else:
                self._news.clear()
                with move_on_after(until - loop.time()):
                    await self._news.wait()
        self._leave()

    def _waiting(self) -> bool:
        return any(ref in self._transition.live.open for ref in self._calls)

    async def _begin(self) -> None:
        transition = self._transition
        while transition.local and self._begun < IN_A_ROW:
            local = transition.local.pop(0)
            self._begun += 1
            self._start(local)
            await asyncio.sleep(0)  # code that ends at once, again and again, must not stop everything else

    def _start(self, local: LocalCall) -> None:
        task = self._transition.activities.local_task(local)
        call = _Call(local, CallLease(task, new_id(), task.scheduled))
        self._calls[local.ref] = call
        call.attempt = start_attempt(
            self._attempts,
            task,
            lambda outcome: self._done(local.ref, call, outcome),
            lambda details: self._workers.heartbeat(call.lease, details),
        )
        if call.attempt is not None:
            limit = local.call.options.schedule_to_close_timeout
            error = timeout_error("schedule_to_close", limit)
            call.attempt.limit("schedule_to_close", limit, lambda: pack(Outcome(err=error)))

    def _done(self, ref: int, call: _Call, outcome: Json) -> None:
        if self._calls.get(ref) is not call:
            if not call.dropped:
                self._workers.done(call.lease, outcome)
            return
        call.outcome = outcome
        task = call.lease.task
        elapsed = self._transition.elapsed(call.local)
        if len(outcome) > LARGE or (
            next_delay_ms(task.call.options, failure_of(outcome), task.attempt, elapsed) is not None
        ):
            self._must_commit = True
        else:
            self._ready.append(ref)
        self._news.set()

    def _deliver(self) -> bool:
        """Deliver what there is room for; gives whether that was all."""
        transition, events = self._transition, []
        now = max(self._attempts.clock.now(), transition.live.time)  # the clock may have been set back
        while self._ready and self._recorded < ROOM:
            ref = self._ready.pop(0)
            outcome = self._calls.pop(ref).outcome or b"{}"
            self._recorded += len(outcome)
            events.append(Event(DONE, ref, outcome, now))
        transition.deliver([event for event in events if event.ref in transition.live.open])
        self._stop_cancelled()
        return not self._ready

    def _stop_cancelled(self) -> None:
        """Let attempts that the code has cancelled in this task hear of it."""
        commit = self._transition.commit
        for ref in (*commit.canceled, *commit.asked):
            call = self._calls.get(ref)
            if call is not None and call.attempt is not None and not call.stopped:
                call.stopped = True
                call.attempt.cancel()

    # --- the end of the task ------------------------------------------------------------------

    def _leave(self) -> None:
        """Put what is not done into the commit."""
        transition = self._transition
        commit, live = transition.commit, transition.live
        if live.closed:
            return
        for local in transition.local:
            commit.calls.append(transition.activities.local_task(local))
            transition.activities.limit_to_close(local)
        transition.local.clear()
        for ref, call in self._calls.items():
            if ref in live.open:
                commit.leased.append(call.lease)
                transition.activities.limit_to_close(call.local)
            elif call.outcome is not None:
                call.dropped = True

    def hand_over(self) -> None:
        """Give what goes on to the process's worker of activities; the task is committed."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.outcome is None and call.attempt is not None:
                self._workers.adopt(call.lease, call.attempt)
            elif call.outcome is not None and not call.dropped:
                self._workers.done(call.lease, call.outcome)

    def give_up(self) -> None:
        """Stop what still runs; the task has failed, or is another worker's."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.dropped = True
            if call.attempt is not None:
                call.attempt.abandon()
