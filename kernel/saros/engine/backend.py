"""A `Backend` over any `Store`: what memory and Redis are to the rest of Saros."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from anyio import CancelScope

from ..insight.presence import Announcer
from ..interfaces.deployment import Deployment
from ..interfaces.host import Host
from ..interfaces.program import Facts
from ..interfaces.signals import Mail
from ..interfaces.store import Store
from ..model.background import Job, end_all, kept_running
from ..model.clock import Clock, RealClock, working
from ..model.errors import INTERNAL, Error, ErrorData
from ..model.execution import (
    Pid,
    Watcher,
)
from ..model.records import (
    CANCEL,
    Ask,
    CancelRequest,
    Outcome,
    pack,
)
from ..model.values import Json
from .activity_worker import ActivityWorkers
from .hung import PASSES, last_words, note_of
from .nodes import Nodes
from .outbox import OutboxWorker
from .store_client import StoreClient
from .workflow_worker import WorkflowWorker, cache_size

log = logging.getLogger("saros.engine")

STOP_S = 15.0
"""How long workers may take to hand over their leases, after their activities have ended or used up their grace."""


class StoreBackend(StoreClient):
    """:param grace_s: seconds that running activities have to end when the workers stop."""

    keeps_schedules = False

    def __init__(
        self, store: Store, clock: Clock | None = None, *, concurrency: int = 100, grace_s: float = 10.0
    ) -> None:
        super().__init__(store, clock or RealClock())
        self._concurrency = concurrency
        self._grace_s = grace_s
        self.workflow_worker: WorkflowWorker | None = None
        self._activities: ActivityWorkers | None = None
        self._lasts = not isinstance(store.last_words(), str)
        self._nodes = Nodes(store)  # of a client, until this process works
        self._left: list[Nodes] = []

    @property
    def url(self) -> str:
        return self.store.url

    async def open(self, deployment: Deployment) -> None:
        self._deployment = deployment
        await self.store.open()

    async def close(self) -> None:
        for nodes in (*self._left, self._nodes):
            await nodes.close()
        await self.store.close()

    # --- workers ----------------------------------------------------------------------------

    async def join(self, host: Host) -> None:
        if self._nodes.host is not host:
            self._left.append(self._nodes)
            self._nodes = Nodes(self.store, host)
        await self._nodes.join()

    async def work(self, host: Host) -> None:
        queues = host.deployment.registry.task_queues()
        activities = self._activities = ActivityWorkers(self.store, host.attempts, self._concurrency)
        await kept_running(lambda: self.join(host), log)
        nodes = self._nodes
        outbox = OutboxWorker(self.store, host, nodes)
        self.workflow_worker = WorkflowWorker(
            self.store, host.deployment, host.attempts, queues, activities, cache_size(host.deployment)
        )
        self._measure(host.deployment, self.workflow_worker, activities)
        announcer = self._announcer(host, queues, activities)
        with working(self.clock):  # virtual time waits for it, for no tasks are taken yet
            await kept_running(announcer.announce, log)  # its tasks never seem to have no worker
        loops = {
            "the store's housekeeping": self.store.run,
            "the outbox worker": outbox.run,
            "the workflow worker": self.workflow_worker.run,
            "the watch of other nodes": nodes.bury,
            "the announcement of this worker": announcer.run,
        }
        serving = [Job(kept_running(loop, log), name) for name, loop in loops.items()]
        taking = [Job(kept_running(loop, log), "the activity worker") for loop in activities.loops]
        everything = [*serving, *taking]
        try:
            # A cancellation leaves them running: the store keeps the leases of activities until these have ended,
            # and what it hands over at its end must not be cancelled half-way.
            await asyncio.wait({job.task for job in everything}, return_when=asyncio.FIRST_EXCEPTION)
            for job in everything:
                if job.done():
                    await job.wait()
        finally:
            with CancelScope(shield=True):
                for job in taking:
                    job.cancel()
                await activities.drain(self._grace_s)
                await end_all(reversed([*serving[1:], *taking]), STOP_S)
                await outbox.close()
                await serving[0].end(STOP_S)  # the store's own work hands over what is left

    def _measure(
        self, deployment: Deployment, workflows: WorkflowWorker, activities: ActivityWorkers
    ) -> None:
        """Let whoever observes ask how busy this worker is."""
        observer = deployment.observer
        if observer is None:
            return
        used, free = "saros_worker_task_slots_used", "saros_worker_task_slots_available"
        observer.measure(
            used, {"worker_type": "WorkflowWorker", "task_queue": ""}, lambda: workflows.slots.used
        )
        for queue, worker in activities.workers.items():
            labels = {"worker_type": "ActivityWorker", "task_queue": queue}
            observer.measure(used, labels, partial(getattr, worker, "used"))
            observer.measure(free, labels, partial(getattr, worker, "free"))

    def _announcer(self, host: Host, queues: tuple[str, ...], activities: ActivityWorkers) -> Announcer:
        deployment = host.deployment
        return Announcer(
            self.store,
            deployment.registry.root,
            queues,
            lambda: [self.workflow_worker.slots, *activities.slots] if self.workflow_worker else [],
            lambda: deployment.version,
            self.clock.now(),
        )

    async def blocked(self, facts: Facts, problem: str) -> str:
        """See `saros.interfaces.backend.Backend.blocked`."""
        return await self.noted(self._note(facts), problem)

    @property
    def lost(self) -> str:
        """See `saros.interfaces.backend.Backend.lost`."""
        return PASSES if self._lasts else "All that it held in memory is lost."

    def note(self, facts: Facts) -> Json:
        """See `saros.interfaces.backend.Backend.note`."""
        return self._note(facts) if self._lasts else b""

    async def noted(self, note: Json, problem: str) -> str:
        """See `saros.interfaces.backend.Backend.noted`."""
        store = self.store.last_words()
        return store if isinstance(store, str) else await last_words(store, note, problem)

    def _note(self, facts: Facts) -> Json:
        return note_of(facts, self.workflow_worker, self._activities)

    # --- requests ---------------------------------------------------------------------------

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        if pid.is_workflow:
            return await self.store.post(pid.id, Mail(op, 0, body, key=key))
        return await self._nodes.request(pid, op, body, key=key)

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        if not pid.is_workflow:
            return await self._nodes.ask(pid, ask, asker, key)
        if ask.verb in ("monitor", "link"):
            return await self.store.watch(pid.id, Watcher(asker, ask.run_id, link=ask.verb == "link"))
        if ask.verb in ("unmonitor", "unlink"):
            await self.store.unwatch(pid.id, asker)
            return True
        if ask.verb == "cancel":
            request = pack(CancelRequest(asker, ask.reason))
            return await self.store.post(pid.id, Mail(CANCEL, 0, request, key=key, request=ask.request))
        if ask.verb != "terminate":
            raise Error(f"a program asked to {ask.verb} another execution, which is not supported", INTERNAL)
        text = "terminated" + (f": {ask.reason}" if ask.reason else "")
        outcome = pack(Outcome(err=ErrorData(text, "Canceled", False)))
        return await self.store.terminate(pid.id, outcome, request=ask.request)

    async def notify_end(self, watcher: Watcher, ended: str, outcome: Json) -> None:
        await self._nodes.ended(ended, watcher, outcome)

    async def register(self, name: str, pid: str) -> bool:
        return await self.store.register(name, pid)

    async def lookup(self, name: str) -> str | None:
        return await self.store.lookup(name)

    async def unregister(self, name: str, pid: str = "") -> bool:
        return await self.store.unregister(name, pid)
