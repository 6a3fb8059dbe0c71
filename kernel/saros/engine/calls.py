"""The activity worker: takes calls, runs attempts, settles them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from anyio import move_on_after

from ..background import LIMIT_S, Job, Jobs, together
from ..deployment import error_of
from ..errors import Error
from ..host import Attempt, Attempts
from ..program import Outcome, pack
from ..store import CallLease, CallTask, Settled, Store
from ..values import Json, error_data
from .retry import call_info, failure_of, limit_heartbeat, next_delay_ms, start_limited

log = logging.getLogger("saros.engine")

BATCH = 64
MS = 1_000_000


def _activity_id(task: CallTask) -> str:
    return task.call.options.id or str(task.ref)


class CallWorkers:
    """A `CallWorker` for each task queue of an app, as its worker's options limit it.

    :param limit: attempts at once, of a worker that says nothing itself.
    """

    def __init__(self, store: Store, attempts: Attempts, limit: int) -> None:
        registry = attempts.host.deployment.registry
        limits = dict.fromkeys(attempts.host.deployment.task_queues(), limit)
        for worker in registry.of_kind("temporal.worker"):
            wanted = worker.get("worker_options.max_concurrent_activity_execution_size")
            limits[registry.task_queue(worker.id)] = int(wanted or limit)
        self._workers = [CallWorker(store, attempts, [queue], most) for queue, most in limits.items()]

    @property
    def loops(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled, side by side."""
        return [worker.run for worker in self._workers]

    def cancel(self, run_id: str, ref: int | None = None) -> None:
        """Cancel the attempts of a call, or of all calls of a run, as far as they run in this process.

        Attempts elsewhere hear of it with their next heartbeat.
        """
        for worker in self._workers:
            worker.cancel(run_id, ref)

    def lease_of(self, run_id: str, activity_id: str) -> CallLease | None:
        """The lease of a call whose attempt runs here; any thread may ask."""
        leases = [worker.leases.get((run_id, activity_id)) for worker in self._workers]
        return next((lease for lease in leases if lease is not None), None)

    async def drain(self, grace_s: float) -> None:
        """Wait for running attempts, at most `grace_s` seconds."""
        await together(*[worker.drain(grace_s) for worker in self._workers])


class CallWorker:
    """Serves the calls of task queues of one store in one process, `limit` at a time."""

    def __init__(self, store: Store, attempts: Attempts, queues: Sequence[str], limit: int) -> None:
        self._store = store
        self._attempts = attempts
        self._queues = queues
        self._free = limit
        self._limit = limit
        self._room: asyncio.Event = asyncio.Event()
        self._settled: list[Settled] = []
        self._flushing: Job[None] | None = None
        self._jobs = Jobs()
        self.leases: dict[tuple[str, str], CallLease] = {}  # of attempts under way, by run and activity id
        self._running: dict[str, dict[int, Attempt]] = {}  # run id -> call -> what runs for it here
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while self._free <= 0:
                self._room.clear()
                await self._room.wait()
            leases = await self._store.take_calls(self._queues, min(BATCH, self._free))
            for lease in leases:
                self._start(lease)

    async def drain(self, grace_s: float) -> None:
        """Wait for running attempts, at most `grace_s` seconds; those left over are given back by their leases."""
        with move_on_after(grace_s):
            await self._idle.wait()
            while self._flushing is not None:
                await self._flushing.wait()
        await self._jobs.wait(LIMIT_S)
        await self._jobs.end()

    def cancel(self, run_id: str, ref: int | None = None) -> None:
        """See `CallWorkers.cancel`."""
        attempts = self._running.get(run_id, {})
        for number, attempt in list(attempts.items()):
            if ref is None or number == ref:
                attempt.cancel()

    def _start(self, lease: CallLease) -> None:
        task = lease.task
        self.leases[task.run_id, _activity_id(task)] = lease
        self._free -= 1
        self._idle.clear()
        info = call_info(
            task.id, task.run_id, task.type, task.ref, task.task_queue, task.attempt, task.scheduled
        )
        if task.heartbeat:
            info["heartbeat_details"] = task.heartbeat
        attempt: Attempt | None = None

        def heartbeat(details: Json) -> None:
            if attempt is not None:
                limit_heartbeat(attempt, task.call.options)
            self._jobs.start(self._heartbeat(lease, lambda: attempt, details), f"a heartbeat for {task.id}")

        try:
            attempt = start_limited(
                self._attempts, task.call, info, lambda outcome: self._done(lease, outcome), heartbeat
            )
        except Error as error:
            self._done(lease, pack(Outcome(err=error_data(error))))
            return
        except Exception as raised:  # an error of ours must not stop the others of the batch
            log.exception("could not start an attempt of %s for %s", task.call.target, task.id)
            self._done(lease, pack(Outcome(err=error_of(raised))))
            return
        if attempt.running:
            self._running.setdefault(task.run_id, {})[task.ref] = attempt
        limit_heartbeat(attempt, task.call.options)

    async def _heartbeat(
        self, lease: CallLease, attempt: Callable[[], Attempt | None], details: Json
    ) -> None:
        if await self._store.heartbeat(lease, details):
            running = attempt()
            if running is not None:
                running.cancel()

    def _done(self, lease: CallLease, outcome: Json) -> None:
        task = lease.task
        self.leases.pop((task.run_id, _activity_id(task)), None)
        attempts = self._running.get(task.run_id)
        if attempts is not None:
            attempts.pop(task.ref, None)
            if not attempts:
                del self._running[task.run_id]
        failure = failure_of(outcome)
        retry_in: int | None = None
        if failure is not None:
            delay = next_delay_ms(task.call.options, failure, task.attempt)
            if delay is not None:
                retry_in = delay * MS
        self._settled.append(Settled(lease, outcome, retry_in))
        if self._flushing is None:
            self._flushing = self._jobs.start(self._flush(), "storing results of activities")

    async def _flush(self) -> None:
        try:
            while self._settled:
                results, self._settled = self._settled, []
                try:
                    await self._store.settle(results)
                except Error as error:  # their leases end, and the calls are tried again
                    log.warning("%d results of activities were not stored: %s", len(results), error)
                finally:
                    self._free += len(results)
                    self._room.set()
        finally:
            self._flushing = None
            if self._free == self._limit:
                self._idle.set()
