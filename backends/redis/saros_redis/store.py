"""The Redis store: the parts put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from anyio import move_on_after

from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.history import NewRun, WorkflowTask
from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import Commit
from saros.model.clock import steady_ns
from saros.model.execution import Description, HistoryPage, Started, StartRequest, Watcher
from saros.model.values import Json

from .calls import Calls
from .check import check
from .client import Client
from .clock import RedisClock
from .core import ACTIVITIES, OUT, RUNS, Core
from .executions import Executions
from .housekeeping import Housekeeping
from .keys import Keys
from .listing import Listing
from .names import Names
from .nodes import Nodes
from .notify import Notify
from .options import Options
from .outbox import Outbox
from .serving import Serving
from .tasks import Tasks
from .timers import Alarm, Timers

STOP_S = 10.0
"""How long it may take to hand over what is leased."""


class RedisStore:
    """See `saros.interfaces.store.Store`. Everything but `open` and `close` needs an open store."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = options.url
        self.clock = RedisClock()
        self.core: Core

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        client = Client(self.options)
        try:
            partitions = await check(client, client.commands)
        except BaseException:
            await client.close()
            raise
        self.core = core = Core(self.options, client, Keys(self.options.prefix, partitions), self.clock)
        self._executions = Executions(core)
        self._listing = Listing(core)
        self._names = Names(core)
        self._nodes = Nodes(core)
        self._notify = Notify(core)
        self._serving = Serving(core)
        alarm = self._alarm = Alarm()
        self._tasks = Tasks(core, alarm)
        self._activities = Calls(core, alarm)
        self._outbox = Outbox(core)
        self._housekeeping = Housekeeping(core, Timers(core, alarm), self._names)
        await core.absorb(0, await core.run("take_wanted", 0, []))  # the server's time

    async def run(self) -> None:
        try:
            await self._housekeeping.run()
        finally:
            with move_on_after(STOP_S, shield=True):
                await self._serving.stop()

    async def close(self) -> None:
        await self._serving.stop()
        await self._nodes.close()
        await self._names.close()
        await self._notify.close()
        await self.core.client.close()

    # --- workers ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _taking(self, kind: str, queues: Sequence[str] = ()) -> AsyncIterator[None]:
        """Have a buffer filled while a worker takes from it; one that is cancelled takes no more."""
        self._serving.start(kind, tuple(queues))
        try:
            yield
        except asyncio.CancelledError:
            await self._serving.leave(kind, tuple(queues))
            raise

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        self.core.queues = tuple(queues)
        async with self._taking(RUNS):
            return await self.core.tasks.take(limit)

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        return await self._tasks.commit(commits)

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        await self._tasks.park(task, problem, delay, hung)

    def last_words(self) -> RedisStore:
        return RedisStore(self.options)

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        buffer = self.core.activities_of(queues)
        async with self._taking(ACTIVITIES, queues):
            return await buffer.take(limit)

    async def settle(self, results: Sequence[Settled]) -> None:
        await self._activities.settle(results)

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        return await self._activities.heartbeat(lease, details)

    async def outbox(self, limit: int) -> list[Outgoing]:
        async with self._taking(OUT):
            return await self.core.out.take(limit)

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        await self._outbox.delivered(entry, reply)

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        return await self._executions.start(new, request)

    async def post(self, id: str, mail: Mail) -> bool:
        return await self._executions.post(id, mail)

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        return await self._executions.terminate(id, outcome, run_id, request)

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        sent = steady_ns()
        ended = await self._executions.time_out(id, run_id, outcome, following)
        if following is not None and following.delay:
            self._alarm.set(sent + following.delay)
        return ended

    async def watch(self, id: str, watcher: Watcher) -> bool:
        return await self._executions.watch(id, watcher)

    async def unwatch(self, id: str, pid: str) -> None:
        await self._executions.unwatch(id, pid)

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        return await self._executions.describe(id, run_id)

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        return self._listing.executions(query)

    async def history(self, id: str, run_id: str = "", start: int = 0) -> HistoryPage | None:
        return await self._executions.history(id, run_id, start)

    async def changed(self, id: str, run_id: str, length: int) -> None:
        await self._notify.changed(id, run_id, length)

    async def release(self, id: str) -> bool:
        """Have dead-lettered tasks of an execution tried again; False when it has none."""
        return await self._executions.release(id)

    # --- names ------------------------------------------------------------------------------

    async def register(self, name: str, pid: str) -> bool:
        return await self._names.register(name, pid)

    async def lookup(self, name: str) -> str | None:
        return await self._names.lookup(name)

    async def unregister(self, name: str, pid: str = "") -> bool:
        return await self._names.unregister(name, pid)

    # --- nodes ------------------------------------------------------------------------------

    async def join_node(self, node: str) -> None:
        await self._nodes.join(node)

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        return await self._nodes.send(node, mail)

    async def node_mail(self, node: str) -> list[NodeMail]:
        return await self._nodes.mail(node)

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        await self._nodes.watch("watch", pid, watcher)

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None:
        await self._nodes.watch("unwatch", pid, watcher)

    async def lost_nodes(self) -> list[LostNode]:
        return await self._nodes.lost()

    async def forget_node(self, node: str) -> None:
        await self._nodes.forget(node)
