"""The activity worker: takes activities, runs attempts, settles them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
from anyio import move_on_after

from ..interfaces.activities import ActivityLease, Settled
from ..interfaces.host import Attempt, Attempts
from ..interfaces.insight import ACTIVITY, Slots
from ..interfaces.store import Store
from ..model.background import LIMIT_S, Job, Jobs, together
from ..model.errors import INVALID, Error
from ..model.execution import error_of
from ..model.records import Outcome, pack
from ..model.timing import parse_duration
from ..model.values import Json
from .retry import STOPPED, id_of, limit_heartbeat, start_attempt, verdict

log = logging.getLogger("saros.engine")

BATCH = 64
LISTEN_S = 2.0
"""How often a worker checks whether the activities that it runs still count; heartbeats check, too."""


class ActivityWorkers:
    """An `ActivityWorker` for each task queue of an app, as its worker's options limit it.

    :param limit: concurrent attempts of a worker that sets no limit itself.
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
        self.workers = {
            queue: ActivityWorker(store, attempts, [queue], most) for queue, most in limits.items()
        }
        self._stopping: dict[str, float] = {}  # queue -> end of its grace period, by the loop's time

    @property
    def slots(self) -> list[Slots]:
        """Those of each task queue: a full queue has none, however many the others have."""
        return [Slots(ACTIVITY, each.used, each.limit, queue) for queue, each in self.workers.items()]

    @property
    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """The loops that run side by side until cancelled."""
        return [worker.run for worker in self.workers.values()]

    def cancel(self, run_id: str, ref: int | None = None) -> None:
        """Cancel the attempts of an activity, or of all activities of a run, that run in this process.

        Attempts elsewhere are told within `LISTEN_S`.
        """
        for worker in self.workers.values():
            worker.cancel(run_id, ref)

    def lease_of(self, run_id: str, activity_id: str) -> ActivityLease | None:
        """The lease of an activity whose attempt runs here. Thread-safe."""
        leases = [worker.lease_of(run_id, activity_id) for worker in self.workers.values()]
        return next((lease for lease in leases if lease is not None), None)

    def _of(self, lease: ActivityLease) -> ActivityWorker:
        return self.workers[lease.task.task_queue]

    def adopt(self, lease: ActivityLease, attempt: Attempt) -> None:
        """Take over the attempt of a local activity that continues after its workflow task.

        The caller reports its end to `done`.
        """
        self._of(lease).adopt(lease, attempt)

    def done(self, lease: ActivityLease, outcome: Json) -> None:
        """Settle the attempt of a local activity."""
        self._of(lease).done(lease, outcome)

    def heartbeat(self, lease: ActivityLease, details: Json) -> None:
        """Record a heartbeat of a local activity; it is ignored while the workflow task is open."""
        self._of(lease).heartbeat(lease, details)

    async def drain(self, grace_s: float) -> None:
        """Wait for running attempts, at most `grace_s` seconds; then end them.

        A worker's ``worker_stop_timeout`` overrides `grace_s`.
        """
        now = asyncio.get_running_loop().time()
        self._stopping = {queue: now + self._graces.get(queue, grace_s) for queue in self.workers}
        await self.drained()

    async def drained(self) -> None:
        """After a call of `drain`, wait for the local activities that came later, too."""
        now = asyncio.get_running_loop().time()
        await together(*[self.workers[queue].drain(until - now) for queue, until in self._stopping.items()])


class _Running(msgspec.Struct, eq=False):
    """An attempt that runs in this process; `attempt` is None until it has begun."""

    lease: ActivityLease
    attempt: Attempt | None = None
    end: tuple[Settled, int] | None = None  # to be stored after its last heartbeat
    old: bool = False  # has run long enough that the worker checks whether it still counts
    beating: bool = False  # a heartbeat is on its way
    details: Json | None = None  # of the next heartbeat
    failing: str = ""  # why the last heartbeat that failed did: it is said once


class ActivityWorker:
    """Serves the activities of task queues of one store in one process, `limit` at a time."""

    def __init__(self, store: Store, attempts: Attempts, queues: Sequence[str], limit: int) -> None:
        self._store = store
        self._attempts = attempts
        self._queues = queues
        self.limit = self.free = limit
        self._room: asyncio.Event = asyncio.Event()
        self._settled: list[tuple[Settled, int]] = []  # each with the number of slots that it frees
        self._flushing: Job[None] | None = None
        self._jobs = Jobs()
        self._running: dict[str, dict[str, _Running]] = {}  # run id -> token -> running attempt
        self._open = 0  # attempts whose end is not stored yet
        self._idle = asyncio.Event()
        self._idle.set()
        self._listening: asyncio.TimerHandle | None = None

    @property
    def used(self) -> int:
        return self.limit - self.free

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
        """Wait for running attempts, at most `grace_s` seconds; then end the others, which are tried again."""
        with move_on_after(max(grace_s, 0)):
            await self._idle.wait()
        for running in [running for each in self._running.values() for running in each.values()]:
            task, attempt = running.lease.task, running.attempt
            if attempt is not None:
                log.warning(
                    "%s of %s did not end in time; its worker stops, and the activity is tried again",
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
        """See `ActivityWorkers.adopt`. The attempt takes no slot, because it began without one."""
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
        """Record details (the newest last), and tell the attempt if it is cancelled."""
        running = self._running.get(lease.task.run_id, {}).get(lease.token)
        if running is not None:
            if running.attempt is not None:
                limit_heartbeat(running.attempt, lease.task.call.options)
            running.details = details
            self._beat(running)

    def _listen(self) -> None:
        """Check whether attempts that have run for a while still count."""
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
            if error.kind == INVALID and running.attempt is not None:  # the store refuses these details
                running.attempt.abandon(pack(Outcome(err=error_of(error))))
            elif str(error) != running.failing:
                running.failing = str(error)
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
        settled = verdict(lease, outcome)
        if running is not None and running.beating:
            running.end = settled, slots  # the heartbeat comes first: the next attempt needs its details
        else:
            self._settle(settled, slots)

    def _settle(self, settled: Settled, slots: int) -> None:
        self._settled.append((settled, slots))
        if self._flushing is None:
            self._flushing = self._jobs.start(self._flush(), "storing results of activities")

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
