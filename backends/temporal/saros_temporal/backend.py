"""The backend: what Temporal is to the rest of Saros."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from temporalio.client import Client

from saros.interfaces.deployment import Deployment
from saros.interfaces.host import Host
from saros.interfaces.program import Facts
from saros.model.background import Job, Jobs
from saros.model.clock import Clock, RealClock
from saros.model.errors import INVALID, NOT_FOUND, Error
from saros.model.execution import RUNNING, Description, HistoryPage, Pid, Started, StartRequest, Watcher
from saros.model.records import EXIT, Ask
from saros.model.values import Json

from . import telemetry
from .client import seconds
from .connections import Connections, connected
from .converter import data_converter
from .environment import Environment
from .handover import LocalActivities
from .hung import PASSES, client_of, last_words, note_of
from .names import Names
from .nodes import Nodes
from .reasons import write_reason
from .schedules import apply_schedules
from .worker import GRACE_S, serve, workers_of


class TemporalBackend:
    """See `saros.interfaces.backend.Backend`."""

    keeps_schedules = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self.clock: Clock = RealClock()
        self._deployment: Deployment | None = None
        self._connections: Connections | None = None
        self._host: Host | None = None
        self.nodes = Nodes(self, options.get("node_lease"))
        self.names = Names(self)
        self.jobs = Jobs()  # they end when the backend closes
        self._watches: dict[tuple[str, str], Job[None]] = {}

    @property
    def url(self) -> str:
        return self._connections.default.target.url if self._connections else self._url

    @property
    def host(self) -> Host | None:
        """The processes of this node, if others can reach them."""
        return self._host

    @property
    def connections(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the backend is not open")
        return self._connections

    @property
    def client(self) -> Client:
        """That of the default connection."""
        return self.connections.default.client

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("the backend is not open")
        return self._deployment

    async def open(self, deployment: Deployment) -> None:
        self._deployment = deployment
        telemetry.prepare()
        self._connections = await connected(self._url, deployment, data_converter(self._options))

    async def close(self) -> None:
        await self.nodes.close()
        await self.jobs.end()

    # --- workers ------------------------------------------------------------------------------

    async def join(self, host: Host) -> None:
        """Nothing to do: only `work` serves the task queue of a node, so a client without workers has no node."""

    async def work(self, host: Host) -> None:
        deployment, connections = self.deployment, self.connections
        self._host = host
        for executions in connections.all:
            await executions.register()
        await apply_schedules(connections, deployment)

        local: list[tuple[LocalActivities, float]] = []

        def environment(worker: str) -> Environment:
            executions = connections.of_worker(worker)
            made = Environment(deployment, worker, executions.search, host, executions.client, self)
            entry = deployment.registry.get(worker)
            wanted = entry.get("worker_options.worker_stop_timeout") if entry else None
            local.append((made.local, seconds(wanted) or GRACE_S))
            return made

        workers = workers_of(deployment, host, environment, connections)
        for each in connections.all:
            self.jobs.start(telemetry.watch(each.client, each.target), f"the watch of {each.target.address}")
        await serve(workers, local, max(grace_s for _, grace_s in local))

    # --- executions ---------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Started:
        executions = self.connections.of_worker(request.worker)
        started = await executions.start(request)
        self.connections.started(started, executions)
        watcher = request.watcher
        if watcher is not None and self._host is not None and self._host.get(watcher.pid):
            self._watch(started.pid, watcher.pid, watcher.link, started.run_id)
        return started

    async def result(self, id: str, run_id: str = "") -> Json:
        return await (await self.connections.find(id, run_id)).result(id, run_id)

    async def describe(self, id: str, run_id: str = "") -> Description:
        return await (await self.connections.find(id, run_id)).describe(id, run_id)

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        return self.connections.list(query)

    async def count(self, query: str = "") -> int:
        return sum([await each.count(query) for each in self.connections.all])

    async def history(self, id: str, run_id: str = "", start: int = 0, wait: bool = False) -> HistoryPage:
        return await (await self.connections.find(id, run_id)).history(id, run_id, start, wait)

    async def export(self, id: str, run_id: str = "") -> Any:
        return await (await self.connections.find(id, run_id)).export(id, run_id)

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        return await (await self.connections.find(id, run_id)).query(id, name, args, run_id)

    async def release(self, id: str) -> None:
        """Let a workflow that has blocked its workers run again; other tasks Temporal tries again itself."""
        await (await self.connections.find(id)).release(id)

    async def blocked(self, facts: Facts, problem: str) -> str:
        return await last_words(note_of(facts), problem, client_of(facts) or self.client)

    @property
    def lost(self) -> str:
        return PASSES

    def note(self, facts: Facts) -> Json:
        return note_of(facts)

    async def noted(self, note: Json, problem: str) -> str:
        return await last_words(note, problem, self.client)

    async def update(self, id: str, name: str, args: Json) -> Json:
        return await (await self.connections.find(id)).update(id, name, args)

    # --- requests -----------------------------------------------------------------------------

    async def runs(self, pid: Pid) -> bool:
        """Whether a workflow runs."""
        return await (await self.connections.find(pid.id, place=pid.place)).runs(pid.id)

    async def end_of(self, pid: Pid, run_id: str = "") -> Json:
        """The `Outcome` of a workflow; waits for it."""
        executions = await self.connections.find(pid.id, run_id, pid.place)
        return await executions.result(pid.id, run_id)

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        if not pid.is_workflow:
            return await self.nodes.send(pid, op, body, key)
        executions = await self.connections.find(pid.id, place=pid.place)
        return await executions.send(pid.id, op, body, key)

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
        executions = await self.connections.find(pid.id, place=pid.place)
        if ask.verb == "cancel":
            return await executions.cancel(pid.id, write_reason(asker, ask.reason), key)
        return await executions.terminate(pid.id, "terminated" + (f": {ask.reason}" if ask.reason else ""))

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
            from .children import exit_body

            executions = await self.connections.find(pid.id, place=pid.place)
            key = f"{ended}:exit:{watcher.pid}"
            await executions.send(pid.id, EXIT, exit_body(ended, outcome), key, watcher.run_id)
        elif pid is not None and not self.nodes.is_own(pid):
            await self.nodes.ended(pid, ended, outcome, watcher.link)

    async def register(self, name: str, pid: str) -> bool:
        return await self.names.register(name, pid)

    async def lookup(self, name: str) -> str | None:
        """A registered name, or the id of a workflow that runs."""
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
