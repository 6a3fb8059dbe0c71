"""The outbox worker: delivers requests of executions from the store's outbox, and brings back the replies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from functools import partial

import msgspec

from ..entries import Entry
from ..insight.open_commands import child_id
from ..interfaces.history import LAST
from ..interfaces.host import Host
from ..interfaces.observer import Closed, about_run, tell_closed
from ..interfaces.signals import Mail, Outgoing, child_request
from ..interfaces.store import Store
from ..model import values
from ..model.background import LIMIT_S, Job, Jobs, patiently, shielded
from ..model.clock import waiting, working
from ..model.errors import NOT_FOUND, UNAVAILABLE, Error
from ..model.execution import (
    RUNNING,
    TIME_OUT,
    TIMED_OUT,
    Parent,
    Pid,
    StartRequest,
    Watcher,
    check_id,
    error_of,
)
from ..model.records import ASK, DONE, EXIT, SEND, SPAWN, Ask, Outcome, Send, Spawn, outcome_ok, pack, unpack
from ..model.text import cut, one_line
from ..model.values import Json
from . import runs
from .nodes import Nodes
from .retry import failure_of
from .runs import under_its_name

log = logging.getLogger("saros.engine")

BATCH = 64
AGAIN_S = 0.5
WATCHING = ("monitor", "link", "unmonitor", "unlink")


class OutboxWorker:
    def __init__(self, store: Store, host: Host, nodes: Nodes) -> None:
        self._store = store
        self._host = host
        self._nodes = nodes
        self._taken: deque[Outgoing] = deque()  # not delivered yet, but for those that wait
        self._waiting = Jobs()  # deliveries that need another node
        self._later: dict[Job[None], Outgoing] = {}  # what they deliver
        self._ends = Jobs()  # of processes for which workflows wait
        self._lanes: dict[str, Job[None]] = {}  # id of an execution -> the last delivery for it

    async def run(self) -> None:
        """Deliver until cancelled. One execution's entries are delivered in order."""
        while True:
            if not self._taken:  # after a failure, some are left
                self._taken.extend(await self._store.outbox(BATCH))
            await shielded(self._deliver_all(), "a delivery")

    async def _deliver_all(self) -> None:
        while self._taken:
            entry = self._taken[0]
            if entry.id in self._lanes or self._may_wait(entry):
                self._deliver_later(entry)
            else:
                # Giving up would leave the rest of the batch undelivered until its lease ends.
                try:
                    await patiently(partial(self.deliver, entry), f"delivering {entry.op} of {entry.id}")
                except Error as error:
                    if error.kind == UNAVAILABLE:
                        raise
                    log.error(
                        "%s of %s was not delivered; it will be retried: %s",
                        entry.op,
                        entry.id,
                        error,
                    )
            self._taken.popleft()

    def _may_wait(self, entry: Outgoing) -> bool:
        """True if delivery needs another node; the entries of other executions must not wait for that."""
        try:
            if entry.to is not None:
                dest = entry.to.pid
            elif entry.op == SEND:
                dest = unpack(entry.body, Send).to
            elif entry.op == ASK:
                dest = unpack(entry.body, Ask).to
            else:
                return False
        except msgspec.MsgspecError:  # its delivery fails, and tells its sender so
            return False
        pid = Pid.parse(dest)
        return bool(dest) if pid is None else not pid.is_workflow and self._host.get(dest) is None

    def _deliver_later(self, entry: Outgoing) -> None:
        before = self._lanes.get(entry.id)
        job = self._waiting.start(self._follow(before, entry), f"delivering {entry.op} of {entry.id}")
        self._lanes[entry.id] = job
        self._later[job] = entry
        job.task.add_done_callback(lambda _task: self._leave(entry.id, job))

    def _leave(self, id: str, job: Job[None]) -> None:
        self._later.pop(job, None)
        if self._lanes.get(id) is job:
            del self._lanes[id]

    async def _follow(self, before: Job[None] | None, entry: Outgoing) -> None:
        if before is not None:
            await asyncio.wait({before.task})
        while True:
            try:
                await self.deliver(entry)
                return
            except Error as error:
                log.warning("%s; delivering %s of %s again", error, entry.op, entry.id)
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("%s of %s was not delivered; it will be retried", entry.op, entry.id)
                return

    async def deliver(self, entry: Outgoing) -> None:
        """:raises Error: UNAVAILABLE; the caller may safely repeat the call."""
        reply: Mail | None = None
        kind = ""
        try:
            outcome = await self._carry_out(entry)
        except Error as error:
            if error.kind == UNAVAILABLE:
                raise
            if entry.op == SEND and not entry.ref:
                log.warning("a message of %s was not delivered: %s", entry.id, error)
            outcome, kind = pack(Outcome(err=values.error_data(error))), error.kind
        except msgspec.MsgspecError as raised:
            log.warning("%s of %s cannot be read and is dropped: %s", entry.op, one_line(entry.id), raised)
            outcome = pack(Outcome(err=error_of(raised)))
        except Exception as raised:  # a bug in Saros must not stop the other deliveries
            log.exception("could not deliver %s of %s", entry.op, entry.id)
            outcome = pack(Outcome(err=error_of(raised)))
        if entry.ref and outcome is not None:
            reply = Mail(DONE, entry.ref, outcome, entry.run_id, entry.key)
        await self._store.delivered(entry, reply)
        observer = self._host.deployment.observer
        if observer is not None:
            observer.delivered(entry.op, kind)

    async def _carry_out(self, entry: Outgoing) -> Json | None:
        """Carry out an entry; return the outcome for its sender, or None if it comes later."""
        if entry.op == SPAWN:
            return await self._spawn(entry, unpack(entry.body, Spawn))
        if entry.op == SEND:
            send = unpack(entry.body, Send)
            trace = entry.run_id if self._host.deployment.observer is not None else ""
            return outcome_ok(await self._host.send(send, entry.pid, entry.key, trace))
        if entry.op == ASK:
            return outcome_ok(await self._ask(entry, unpack(entry.body, Ask)))
        if entry.op == TIME_OUT:
            await self._time_out(entry)
            return None
        await self._notify(entry)
        return None

    async def _ask(self, entry: Outgoing, ask: Ask) -> Json:
        if ask.verb in WATCHING:
            ask = msgspec.structs.replace(ask, run_id=entry.run_id)
            await self._nodes.note(await self._host.resolve(ask.to), ask, entry.pid)
        return await self._host.ask(ask, entry.pid, entry.key)

    async def _time_out(self, entry: Outgoing) -> None:
        """End a run that took too long, and start the one that follows it."""
        page = await self._store.history(entry.id, entry.run_id, LAST)
        error = failure_of(entry.body)
        if error is not None:  # final for those who wait, but the run's own policy may retry it
            error = msgspec.structs.replace(error, retryable=None)
        if page is not None and page.status == RUNNING:
            following = runs.after(page.run, self._host.clock.now(), error)
            if await self._store.time_out(entry.id, entry.run_id, entry.body, following):
                run, observer = page.run, self._host.deployment.observer
                tell_closed(log, about_run(run), TIMED_OUT, error)
                if observer is not None:
                    observer.closed(Closed(run.id, run.run_id, run.type, run.task_queue, TIMED_OUT))

    async def _notify(self, entry: Outgoing) -> None:
        """Tell a watcher of an end, unless the watcher has ended itself."""
        watcher = entry.to
        if watcher is None:
            return
        if entry.op == EXIT or not watcher.pid.startswith("@"):
            await self._nodes.tell(entry.pid, watcher, entry.body, entry.key)

    # --- children ---------------------------------------------------------------------------

    async def _spawn(self, entry: Outgoing, spawn: Spawn) -> Json | None:
        deployment = self._host.deployment
        target = deployment.registry.get(spawn.entry) or deployment.registry.by_type(spawn.entry)
        if target is None:
            raise Error(f"the app has no entry {one_line(cut(spawn.entry))}", NOT_FOUND, retryable=True)
        if target.role != "workflow":
            return await self._spawn_process(entry, target, spawn)
        worker, queue = deployment.registry.worker_and_queue(target, spawn.host)
        deployment.registry.check_namespace(spawn.options, worker)
        ref = entry.ref if spawn.exec else 0
        watched = spawn.exec or spawn.monitor
        request = StartRequest(
            check_id(child_id(entry.run_id, entry.ref, spawn)),
            target.id,
            target.type_name,
            worker,
            spawn.options.task_queue or queue,
            spawn.args,
            spawn.context,
            spawn.options,
            spawn.messages,
            spawn.name,
            Parent(entry.pid, entry.run_id),
            Watcher(entry.pid, entry.run_id, ref) if watched else None,
            child_request(entry.run_id, entry.ref),
            await self._trace(entry, target.type_name),
        )
        request = await under_its_name(self._store, request)
        started = await self._store.start(runs.first(request, self._host.clock.now()), request)
        return None if spawn.exec else outcome_ok(pack(started.pid))

    async def _trace(self, entry: Outgoing, workflow: str) -> str:
        """The carrier that a run hands to a child of this type, while somebody observes."""
        observer = self._host.deployment.observer
        if observer is None:
            return ""
        page = await self._store.history(entry.id, entry.run_id, LAST)
        return observer.handed(workflow, page.run.trace if page is not None else "", entry.run_id)

    async def _spawn_process(self, entry: Outgoing, target: Entry, spawn: Spawn) -> Json | None:
        host = self._host
        if not spawn.exec:
            unwatched = msgspec.structs.replace(spawn, monitor=False)
            pid = msgspec.json.decode(await host.spawn(unwatched, None), type=str)
            if spawn.monitor:
                await self._watch(pid, entry)
            return outcome_ok(pack(pid))

        actor, end = host.follow(target, spawn)
        watcher = Watcher(entry.pid, entry.run_id, entry.ref)
        await self._store.watch_node(actor.pid, watcher)

        async def wait() -> None:
            with working(host.clock):
                with waiting(host.clock):
                    outcome = await end
                await self._nodes.ended(actor.pid, watcher, outcome)

        self._ends.start(wait(), f"the end of {actor.pid}")
        return None

    async def _watch(self, pid: str, entry: Outgoing) -> None:
        actor = self._host.get(pid)
        if actor is not None:
            actor.watchers[entry.pid] = entry.run_id
            await self._store.watch_node(pid, Watcher(entry.pid, entry.run_id))

    async def close(self) -> None:
        """Finish deliveries to other nodes, within a limit, and give the rest back; drop the ends of processes."""
        await self._waiting.wait(LIMIT_S)
        later = dict(self._later)
        await self._waiting.end()
        left = [entry for job, entry in later.items() if job.task.cancelled()]
        await self._ends.end()
        if left or self._taken:
            with contextlib.suppress(Error):  # of an unavailable store, whose leases end without that
                await self._store.give_back([*left, *self._taken])
