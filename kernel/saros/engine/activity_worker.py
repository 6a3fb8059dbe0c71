"""The activity worker: takes activities, runs attempts, settles them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from anyio import move_on_after

from ..interfaces.activities import ActivityLease, Settled
from ..interfaces.host import Attempt, Attempts
from ..interfaces.insight import ACTIVITY, Slots
from ..interfaces.store import Store
from ..model.background import LIMIT_S, Job, Jobs, together
from ..model.errors import INTERNAL, INVALID, Error, ErrorData
from ..model.execution import error_of
from ..model.records import Outcome, pack
from ..model.timing import MS, parse_duration
from ..model.values import Json
from .retry import STOPPED, failure_of, id_of, limit_heartbeat, next_delay_ms, start_attempt

log = logging.getLogger("saros.engine")

BATCH = 64
LISTEN_S = 2.0
"""How often a worker asks whether the activities that it runs still count; heartbeats ask, too."""


class ActivityWorkers:
    """An `ActivityWorker` for each task queue of an app, as its worker's options limit it.

    :param limit: attempts at once, of a worker that says nothing itself.
    """

    def __init__(self, store: Store, attempts: Attempts, limit: int) -> None:
        registry = attempts.deployment.registry
        limits = dict.fromkeys(registry.task_queues(), limit)
        graces: dict[str, float] = {}
        for worker in registry.of_kind("temporal.worker"):
            queue = registry.task_queue(worker.id)
            wanted = worker.get("worker_options.max_concurrent_activity_execution_size")
            limits[queue] = int(wanted or limit)
            grace = worker.get("worker_options.worker_stop_timeout")
            if grace:
                graces[queue] = max(parse_duration(grace) / 1e9, graces.get(queue, 0.0))
        self._graces = graces
        self._workers = {name: ActivityWorker(store, attempts, [name], most) for name, most in limits.items()}
        self._stopping: dict[str, float] = {}  # when the grace of each queue ends, by the loop's time

    @property
    def slots(self) -> Slots:
        workers = self._workers.values()
        return Slots(
            ACTIVITY, sum(each.limit - each.free for each in workers), sum(each.limit for each in workers)
        )

    @property
    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled, side by side."""
        return [worker.run for worker in self._workers.values()]

    def cancel(self, run_id: str, ref: int | None = None) -> None:
        """Cancel the attempts of an activity, or of all activities of a run, as far as they run in this process.

        Attempts elsewhere hear of it within `LISTEN_S`.
        """
        for worker in self._workers.values():
            worker.cancel(run_id, ref)

    def lease_of(self, run_id: str, activity_id: str) -> ActivityLease | None:
        """The lease of an activity whose attempt runs here; any thread may ask."""
        leases = [worker.lease_of(run_id, activity_id) for worker in self._workers.values()]
        return next((lease for lease in leases if lease is not None), None)

    def _of(self, lease: ActivityLease) -> ActivityWorker:
        return self._workers[lease.task.task_queue]

    def adopt(self, lease: ActivityLease, attempt: Attempt) -> None:
        """Look after the attempt of a local activity, which goes on after its workflow task.

        Its end is to be told to `done`.
        """
        self._of(lease).adopt(lease, attempt)

    def done(self, lease: ActivityLease, outcome: Json) -> None:
        """Settle the attempt of a local activity."""
        self._of(lease).done(lease, outcome)

    def heartbeat(self, lease: ActivityLease, details: Json) -> None:
        """Record what the attempt of a local activity says; nobody hears it while its workflow task is open."""
        self._of(lease).heartbeat(lease, details)

    async def drain(self, grace_s: float) -> None:
        """Wait for running attempts, at most `grace_s` seconds; then end them.

        A worker's ``worker_stop_timeout`` counts more than `grace_s`.
        """
        now = asyncio.get_running_loop().time()
        self._stopping = {queue: now + self._graces.get(queue, grace_s) for queue in self._workers}
        await self.drained()

    async def drained(self) -> None:
        """Once `drain` was called, wait for the local activities that came after it, too."""
        now = asyncio.get_running_loop().time()
        await together(*[self._workers[queue].drain(until - now) for queue, until in self._stopping.items()])


class _Running:
    """An attempt that runs in this process; it has none while it begins."""

    def __init__(self, lease: ActivityLease, attempt: Attempt | None = None) -> None:
        self.lease = lease
        self.attempt = attempt
        self.end: tuple[Settled, int] | None = None  # to be stored after its last heartbeat
        self.old = False  # long enough for the worker to ask whether it still counts
        self.beating = False  # a heartbeat is on its way
        self.details: Json | None = None  # of the next


class ActivityWorker:
    """Serves the activities of task queues of one store in one process, `limit` at a time."""

    def __init__(self, store: Store, attempts: Attempts, queues: Sequence[str], limit: int) -> None:
        self._store = store
        self._attempts = attempts
        self._queues = queues
        self.limit = self.free = limit
        self._room: asyncio.Event = asyncio.Event()
        self._settled: list[tuple[Settled, int]] = []  # and the slots that it gives back
        self._flushing: Job[None] | None = None
        self._jobs = Jobs()
        self._running: dict[str, dict[str, _Running]] = {}  # run id -> token -> what runs for it here
        self._open = 0  # attempts whose end is not stored yet
        self._idle = asyncio.Event()
        self._idle.set()
        self._listening: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while self.free <= 0:
                self._room.clear()
                await self._room.wait()
            leases = await self._store.take_activities(self._queues, min(BATCH, self.free))
            for lease in leases:
                self._start(lease)

    async def drain(self, grace_s: float) -> None:
        """Wait for running attempts, at most `grace_s` seconds; those left over are ended, and tried again."""
        with move_on_after(max(grace_s, 0)):
            await self._idle.wait()
        for running in [running for each in self._running.values() for running in each.values()]:
            task, attempt = running.lease.task, running.attempt
            if attempt is not None:
                log.warning(
                    "%s of %s has not ended in time; its worker stops, and the activity is tried again",
                    task.call.target,
                    task.id,
                )
                attempt.abandon(STOPPED)
        with move_on_after(LIMIT_S):  # the last results
            await self._idle.wait()
        await self._jobs.wait(LIMIT_S)
        await self._jobs.end()

    def lease_of(self, run_id: str, activity_id: str) -> ActivityLease | None:
        """See `ActivityWorkers.lease_of`."""
        for running in list(self._running.get(run_id, {}).values()):
            if id_of(running.lease.task) == activity_id:
                return running.lease
        return None

    def cancel(self, run_id: str, ref: int | None = None) -> None:
        """See `ActivityWorkers.cancel`."""
        for running in list(self._running.get(run_id, {}).values()):
            if running.attempt is not None and (ref is None or running.lease.task.ref == ref):
                running.attempt.cancel()

    def _start(self, lease: ActivityLease) -> None:
        self._begin(1)
        running = self._keep(lease)
        running.attempt = start_attempt(
            self._attempts,
            lease.task,
            lambda outcome: self._done(lease, outcome, 1),
            lambda details: self.heartbeat(lease, details),
        )

    def adopt(self, lease: ActivityLease, attempt: Attempt) -> None:
        """See `ActivityWorkers.adopt`. It takes no slot: it began without one."""
        self._begin(0)
        self._keep(lease).attempt = attempt

    def done(self, lease: ActivityLease, outcome: Json) -> None:
        """See `ActivityWorkers.done`."""
        if lease.token not in self._running.get(lease.task.run_id, {}):
            self._begin(0)
        self._done(lease, outcome, 0)

    def _begin(self, slots: int) -> None:
        self.free -= slots
        self._open += 1
        self._idle.clear()

    def _keep(self, lease: ActivityLease) -> _Running:
        running = self._running.setdefault(lease.task.run_id, {})[lease.token] = _Running(lease)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().call_later(LISTEN_S, self._listen)
        return running

    # --- heartbeats ---------------------------------------------------------------------------

    def heartbeat(self, lease: ActivityLease, details: Json) -> None:
        """Record details, the newest at last, and let the attempt hear whether it is cancelled."""
        running = self._running.get(lease.task.run_id, {}).get(lease.token)
        if running is not None:
            if running.attempt is not None:
                limit_heartbeat(running.attempt, lease.task.call.options)
            running.details = details
            self._beat(running)

    def _listen(self) -> None:
        """Ask for attempts that have run a while whether they still count."""
        self._listening = None
        for each in list(self._running.values()):
            for running in each.values():
                if running.old:
                    self._beat(running)
                running.old = True
        if self._running:
            self._listening = asyncio.get_running_loop().call_later(LISTEN_S, self._listen)

    def _beat(self, running: _Running) -> None:
        if not running.beating:
            running.beating = True
            self._jobs.start(self._tell(running), f"a heartbeat for {running.lease.task.id}")

    async def _tell(self, running: _Running) -> None:
        try:
            while True:
                details, running.details = running.details, None
                canceled = await self._store.heartbeat(running.lease, details)
                if canceled and running.attempt is not None:
                    running.attempt.cancel()
                if running.details is None:
                    break
        except Error as error:
            if error.kind == INVALID and running.attempt is not None:  # details that the store does not keep
                running.attempt.abandon(pack(Outcome(err=error_of(error))))
            else:
                log.warning("a heartbeat for %s was not stored: %s", running.lease.task.id, error)
        finally:
            running.beating = False
            if running.end is not None:
                self._settle(*running.end)

    # --- ends ---------------------------------------------------------------------------------

    def _done(self, lease: ActivityLease, outcome: Json, slots: int) -> None:
        run_id = lease.task.run_id
        attempts = self._running.get(run_id, {})
        running = attempts.pop(lease.token, None)
        if running is not None and not attempts:
            del self._running[run_id]
        settled = self._verdict(lease, outcome)
        if running is not None and running.beating:
            running.end = settled, slots  # the next attempt is to find the details
        else:
            self._settle(settled, slots)

    def _settle(self, settled: Settled, slots: int) -> None:
        self._settled.append((settled, slots))
        if self._flushing is None:
            self._flushing = self._jobs.start(self._flush(), "storing results of activities")

    def _verdict(self, lease: ActivityLease, outcome: Json) -> Settled:
        """Whether another attempt follows."""
        task = lease.task
        try:
            if outcome is STOPPED:  # like a lost worker: no error of the function's
                most = task.call.options.retry_policy.maximum_attempts
                return Settled(lease, outcome, None if most and task.attempt >= most else 0)
            delay = next_delay_ms(task.call.options, failure_of(outcome), task.attempt)
            return Settled(lease, outcome, None if delay is None else delay * MS)
        except Exception as raised:  # an error of ours: the activity must not wait for ever
            log.exception("the end of %s for %s makes no sense", task.call.target, task.id)
            error = ErrorData(
                f"the end of {task.call.target} makes no sense: {error_of(raised).message}",
                INTERNAL,
                False,
            )
            return Settled(lease, pack(Outcome(err=error)))

    async def _flush(self) -> None:
        try:
            while self._settled:
                batch, self._settled = self._settled, []
                try:
                    await self._store.settle([settled for settled, _ in batch])
                except Error as error:  # their leases end, and the activities are tried again
                    log.warning("%d results of activities were not stored: %s", len(batch), error)
                finally:
                    self.free += sum(slots for _, slots in batch)
                    self._open -= len(batch)
                    self._room.set()
        finally:
            self._flushing = None
            if not self._open:
                self._idle.set()
