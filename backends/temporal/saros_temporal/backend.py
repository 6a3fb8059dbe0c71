"""The backend: Saros's interface to Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from temporalio.client import Client, WorkflowHistory

from saros.insight.presence import app_hash
from saros.interfaces.deployment import Deployment
from saros.interfaces.host import Host
from saros.interfaces.insight import Stack
from saros.interfaces.program import Facts
from saros.model.background import Job, Jobs
from saros.model.clock import Clock, RealClock
from saros.model.errors import INVALID, NOT_FOUND, Error
from saros.model.execution import RUNNING, Description, HistoryPage, Pid, Started, StartRequest, Watcher
from saros.model.records import EXIT, Ask
from saros.model.values import Json

from .client.connection import data_converter, prepare_runtime, watch_server
from .client.namespace import Namespace
from .client.namespaces import Namespaces, connected
from .client.outlook import TemporalInsight
from .client.schedules import apply_schedules
from .nodes.name_registry import NameRegistry
from .nodes.node_client import NodeClient
from .wire.payloads import write_reason
from .worker.blocked import PASSES, client_of, last_words, note_of
from .worker.worker import serve, workers_of
from .worker.workflow_runner import replayed_stack
from .workflow.children import exit_body


class TemporalBackend(TemporalInsight):
    """See `saros.interfaces.backend.Backend`."""

    keeps_schedules = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self.clock: Clock = RealClock()
        self._deployment: Deployment | None = None
        self._namespaces: Namespaces | None = None
        self._host: Host | None = None
        self.nodes = NodeClient(self, options.get("node_lease"))
        self.names = NameRegistry(self, self.nodes)
        self.jobs = Jobs()  # they end when the backend closes
        self._watches: dict[tuple[str, str], Job[None]] = {}

    @property
    def url(self) -> str:
        return self._namespaces.default.target.url if self._namespaces else self._url

    @property
    def host(self) -> Host | None:
        """The processes of this node, if others can reach them."""
        return self._host

    @property
    def namespaces(self) -> Namespaces:
        if self._namespaces is None:
            raise RuntimeError("the backend is not open")
        return self._namespaces

    @property
    def namespace(self) -> Namespace:
        """The default namespace, which has the nodes and the registered names."""
        return self.namespaces.default

    @property
    def client(self) -> Client:
        """The connection of the default namespace."""
        return self.namespace.client

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("the backend is not open")
        return self._deployment

    async def open(self, deployment: Deployment) -> None:
        self._deployment = deployment
        prepare_runtime()
        self._namespaces = await connected(self._url, deployment, data_converter(self._options))

    async def replayed_stack(self, history: WorkflowHistory) -> Stack:
        return await replayed_stack(history, self.deployment)

    async def close(self) -> None:
        await self.nodes.presence.close()
        await self.jobs.end()

    # --- workers ------------------------------------------------------------------------------

    async def join(self, host: Host) -> None:
        """Nothing to do: only `work` serves the task queue of a node, so a client without workers has no node."""

    async def work(self, host: Host) -> None:
        deployment, namespaces = self.deployment, self.namespaces
        self._host = host
        for namespace in namespaces.all:
            await namespace.register()
        await apply_schedules(namespaces, deployment)
        build_id = await asyncio.to_thread(app_hash, deployment.registry.root)
        workers = workers_of(deployment, host, namespaces, self, build_id)
        for each in namespaces.all:
            self.jobs.start(watch_server(each.client, each.target), f"the watch of {each.target.address}")
        await serve(workers)

    # --- executions ---------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Started:
        namespace = self.namespaces.of_worker(request.worker)
        started = await namespace.start(request)
        self.namespaces.started(started, namespace)
        watcher = request.watcher
        if watcher is not None and self._host is not None and self._host.get(watcher.pid):
            self._watch(started.pid, watcher.pid, watcher.link, started.run_id)
        return started

    async def result(self, id: str, run_id: str = "") -> Json:
        return await (await self.namespaces.find(id, run_id)).result(id, run_id)

    async def describe(self, id: str, run_id: str = "") -> Description:
        return await (await self.namespaces.find(id, run_id)).describe(id, run_id)

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        return self.namespaces.list(query)

    async def count(self, query: str = "") -> int:
        return sum([await each.count(query) for each in self.namespaces.all])

    async def history(
        self, id: str, run_id: str = "", start: int = 0, wait: bool = False, limit: int = 0
    ) -> HistoryPage:
        return await (await self.namespaces.find(id, run_id)).history(id, run_id, start, wait, limit)

    async def export(self, id: str, run_id: str = "") -> Any:
        return await (await self.namespaces.find(id, run_id)).export(id, run_id)

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        return await (await self.namespaces.find(id, run_id)).messages.query(id, name, args, run_id)

    async def release(self, id: str) -> None:
        """Let a workflow that has blocked its workers run again; Temporal itself retries other tasks."""
        await (await self.namespaces.find(id)).messages.release(id)

    async def blocked(self, facts: Facts, problem: str) -> str:
        return await last_words(note_of(facts), problem, client_of(facts) or self.client)

    @property
    def lost(self) -> str:
        return PASSES

    def note(self, facts: Facts) -> Json:
        return note_of(facts)

    async def noted(self, note: Json, problem: str) -> str:
        return await last_words(note, problem, self.client)

    async def update(self, id: str, name: str, args: Json, trace: str = "") -> Json:
        return await (await self.namespaces.find(id)).messages.update(id, name, args, trace)

    # --- requests -----------------------------------------------------------------------------

    async def runs(self, pid: Pid) -> bool:
        """Whether a workflow is running."""
        return await (await self.namespaces.find(pid.id, place=pid.place)).runs(pid.id)

    async def end_of(self, pid: Pid, run_id: str = "") -> Json:
        """Wait for a workflow and return its `Outcome`."""
        namespace = await self.namespaces.find(pid.id, run_id, pid.place)
        return await namespace.result(pid.id, run_id)

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        if not pid.is_workflow:
            return await self.nodes.send(pid, op, body, key)
        namespace = await self.namespaces.find(pid.id, place=pid.place)
        return await namespace.messages.send(pid.id, op, body, key)

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        if not pid.is_workflow:
            return await self.nodes.ask(pid, ask, asker, key)
        if ask.verb in ("monitor", "link"):
            if not await self.runs(pid):
                return False
            self._watch(str(pid), asker, ask.verb == "link")
            return True
        if ask.verb in ("unmonitor", "unlink"):
            watch = self._watches.pop((str(pid), asker), None)
            if watch is not None:
                watch.cancel()
            return True
        namespace = await self.namespaces.find(pid.id, place=pid.place)
        if ask.verb == "cancel":
            return await namespace.messages.cancel(pid.id, write_reason(asker, ask.reason), key)
        return await namespace.messages.terminate(
            pid.id, "terminated" + (f": {ask.reason}" if ask.reason else "")
        )

    def _watch(self, pid: str, watcher: str, link: bool, run_id: str = "") -> None:
        """Tell an actor of this process when a workflow has ended; the watch ends with the process."""
        if (pid, watcher) not in self._watches:
            watch = self._tell(pid, watcher, link, run_id)
            self._watches[pid, watcher] = self.jobs.start(watch, f"the watch of {pid}")

    async def _tell(self, pid: str, watcher: str, link: bool, run_id: str) -> None:
        found = Pid.parse(pid)
        if found is None:
            return
        outcome = await self.end_of(found, run_id)
        self._watches.pop((pid, watcher), None)
        actor = self._host.get(watcher) if self._host else None
        if actor is not None:
            actor.watched_end(pid, outcome, link)

    async def notify_end(self, watcher: Watcher, ended: str, outcome: Json) -> None:
        pid = Pid.parse(watcher.pid)
        if pid is not None and pid.is_workflow:
            namespace = await self.namespaces.find(pid.id, place=pid.place)
            key = f"{ended}:exit:{watcher.pid}"
            body = exit_body(ended, outcome)
            await namespace.messages.send(pid.id, EXIT, body, key, watcher.run_id)
        elif pid is not None and not self.nodes.is_own(pid):
            await self.nodes.ended(pid, ended, outcome, watcher.link)

    async def register(self, name: str, pid: str) -> bool:
        return await self.names.register(name, pid)

    async def lookup(self, name: str) -> str | None:
        """Look up a registered name, or the id of a running workflow."""
        owner = await self.names.lookup(name)
        if owner is not None:
            return owner
        try:
            found = await self.describe(name)
        except Error as error:
            if error.kind in (NOT_FOUND, INVALID):
                return None
            raise
        return found.pid if found.status == RUNNING else None

    async def unregister(self, name: str, pid: str = "") -> bool:
        return await self.names.unregister(name, pid)
