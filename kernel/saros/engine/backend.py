"""A `Backend` over any `Store`: what memory and Redis are to the rest of Saros."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from anyio import CancelScope

from ..insight.presence import Announcer
from ..insight.store_insight import StoreInsight
from ..interfaces.deployment import Deployment
from ..interfaces.history import LAST, UNTIL_CLOSED
from ..interfaces.host import Host
from ..interfaces.program import Facts
from ..interfaces.signals import Mail
from ..interfaces.store import Store
from ..model import values
from ..model.background import Job, end_all
from ..model.clock import Clock, RealClock
from ..model.errors import CANCELED as KIND_CANCELED
from ..model.errors import INTERNAL, INVALID, NOT_FOUND, TIMEOUT, UNAVAILABLE, Error, ErrorData
from ..model.execution import (
    CANCELED,
    RUNNING,
    HistoryPage,
    Pid,
    Started,
    StartRequest,
    Watcher,
    new_id,
)
from ..model.presentation import export_history
from ..model.records import (
    ANSWER,
    CANCEL,
    COMPLETE,
    FAIL,
    QUERY,
    UPDATE,
    Answer,
    Ask,
    CancelRequest,
    Event,
    HandlerCall,
    Inspection,
    Outcome,
    outcome_ok,
    pack,
    unpack,
)
from ..model.search import check_search
from ..model.values import Json
from . import runs
from .activity_worker import ActivityWorkers
from .hung import PASSES, last_words, note_of
from .live import load
from .nodes import Nodes
from .outbox import OutboxWorker
from .runs import under_its_name
from .workflow_worker import WorkflowWorker, cache_size

log = logging.getLogger("saros.engine")

QUERY_S = 10.0
"""How long the first task of a run may take, when a query waits for it."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 5.0
STOP_S = 15.0
"""How long workers may take to hand over what they hold, once their activities have ended or had their grace."""


class StoreBackend(StoreInsight):
    """:param grace_s: seconds that running activities get to end when the workers stop."""

    keeps_schedules = False

    def __init__(
        self, store: Store, clock: Clock | None = None, *, concurrency: int = 100, grace_s: float = 10.0
    ) -> None:
        self.store = store
        self.clock: Clock = clock or RealClock()
        self._concurrency = concurrency
        self._grace_s = grace_s
        self._deployment: Deployment | None = None
        self.workflow_worker: WorkflowWorker | None = None
        self._activities: ActivityWorkers | None = None
        self._lasts = not isinstance(store.last_words(), str)
        self._nodes = Nodes(store)  # of a client, until this process works
        self._left: list[Nodes] = []

    @property
    def url(self) -> str:
        return self.store.url

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("the backend is not open")
        return self._deployment

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
        await self._keep_running(lambda: self.join(host), once=True)
        nodes = self._nodes
        outbox = OutboxWorker(self.store, host, nodes)
        self.workflow_worker = WorkflowWorker(
            self.store, host.deployment, host.attempts, queues, activities, cache_size(host.deployment)
        )
        loops = {
            "the store's housekeeping": self.store.run,
            "the outbox worker": outbox.run,
            "the workflow worker": self.workflow_worker.run,
            "the watch of other nodes": nodes.bury,
            "the announcement of this worker": self._announcer(host, queues, activities).run,
        }
        serving = [Job(self._keep_running(loop), name) for name, loop in loops.items()]
        taking = [Job(self._keep_running(loop), "the activity worker") for loop in activities.loops]
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
                await end_all(reversed(everything), STOP_S)
                await outbox.close()

    def _announcer(self, host: Host, queues: tuple[str, ...], activities: ActivityWorkers) -> Announcer:
        deployment = host.deployment
        return Announcer(
            self.store,
            deployment.registry.root,
            queues,
            lambda: [self.workflow_worker.slots, activities.slots] if self.workflow_worker else [],
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

    async def _keep_running(self, loop: Callable[[], Awaitable[None]], *, once: bool = False) -> None:
        """Run a loop for ever (or something once); when it fails, or the server is away, again, with growing pauses.

        :raises Error: what no repetition mends, such as PERMISSION_DENIED.
        """
        pause = BACKOFF_S
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await loop()
                if once:
                    return
            except Error as error:
                if error.kind not in (UNAVAILABLE, INTERNAL):
                    raise
                failure: Exception = error
            except Exception as raised:  # of one item, whatever it is: the others are served on
                log.exception("a worker failed")
                failure = raised
            if asyncio.get_running_loop().time() - started > BACKOFF_MAX_S:
                pause = BACKOFF_S
            log.warning("%s; trying again in %.1f s", failure, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_MAX_S)

    # --- executions -------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Started:
        if request.options.search_attributes:
            why = check_search(bytes(request.options.search_attributes))
            if why:
                raise Error(why, INVALID, retryable=False)
        if self._deployment is not None:
            self._deployment.registry.check_namespace(request.options, request.worker)
        request = await under_its_name(self.store, request)
        return await self.store.start(runs.first(request, self.clock.now()), request)

    async def result(self, id: str, run_id: str = "") -> Json:
        while True:
            page = await self.history(id, run_id, LAST)
            run_id = page.run.run_id
            if page.status == RUNNING:
                await self.store.changed(id, run_id, UNTIL_CLOSED)
            elif page.next_run_id:
                run_id = page.next_run_id
            else:
                return _outcome(page)

    async def export(self, id: str, run_id: str = "") -> Any:
        page = await self.history(id, run_id)
        return export_history(page)

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        """Replays the history here: no worker is needed, nothing is recorded, and ended runs answer too."""
        page = await self._begun(id, run_id, name)
        live = load(page.run, self.deployment, page.records)
        try:
            body = pack(HandlerCall("query", name, msgspec.Raw(args)))
            outputs = live.program.advance([Event(QUERY, 0, body, live.time)])
        finally:
            live.close()
        (command,) = [command for command in outputs[0] if command.op == ANSWER]
        return _answered(unpack(command.body, Answer))

    async def inspected(self, id: str, run_id: str) -> Inspection:
        """Replays the history here, too."""
        page = await self.history(id, run_id)
        if not page.records:
            return Inspection()
        live = load(page.run, self.deployment, page.records)
        try:
            return live.program.inspect()
        finally:
            live.close()

    async def _begun(self, id: str, run_id: str, name: str) -> HistoryPage:
        """The history of a run, once its first task is done: before, it knows no queries."""
        page = await self.history(id, run_id)
        try:
            async with asyncio.timeout(QUERY_S):
                while not page.records and page.status == RUNNING:
                    await self.store.changed(id, page.run.run_id, 0)
                    page = await self.history(id, page.run.run_id)
        except TimeoutError:
            text = f"no worker has answered the query {name} of {id}; does one serve its task queue?"
            raise Error(text, TIMEOUT) from None
        return page

    async def update(self, id: str, name: str, args: Json) -> Json:
        call = HandlerCall(new_id(), name, msgspec.Raw(args))
        page = await self.history(id)
        length = page.start + len(page.records)
        run_id = page.run.run_id
        if not await self.store.post(id, Mail(UPDATE, 0, pack(call), key=call.id)):
            raise Error(f"{id} has ended; only running executions are updated", NOT_FOUND, retryable=False)
        heard = False
        while True:
            page = await self.history(id, run_id, length, wait=True)
            length = page.start + len(page.records)
            for record in page.records:
                if record.op == UPDATE:
                    heard = heard or unpack(record.body, HandlerCall).id == call.id
                elif record.op == ANSWER:
                    answer = unpack(record.body, Answer)
                    if answer.id == call.id:
                        return _answered(answer)
            if page.status == RUNNING:
                continue
            if heard or not page.next_run_id:
                raise Error(f"{id} ended before it answered the update {name}", UNAVAILABLE)
            run_id, length = page.next_run_id, 0  # what a run has not heard of, the next one does

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
            raise Error(f"a program asked to {ask.verb} another execution, which nothing here does", INTERNAL)
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


def _outcome(page: HistoryPage) -> Json:
    last = page.records[-1]
    if last.op == COMPLETE and page.status == CANCELED:  # a cron schedule that came to its end
        return pack(Outcome(err=ErrorData("canceled", KIND_CANCELED, False)))
    if last.op == COMPLETE:
        return outcome_ok(last.body)
    if last.op == FAIL:
        return b'{"err":' + last.body + b"}"
    return last.body  # ended from outside, with an Outcome


def _answered(answer: Answer) -> Json:
    if answer.err is not None:
        raise values.to_error(answer.err)
    return bytes(answer.ok) if answer.ok else values.NULL
