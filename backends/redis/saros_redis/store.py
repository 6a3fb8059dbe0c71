"""The Redis store: the parts put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from anyio import move_on_after

from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.history import NewRun, WorkflowTask
from saros.interfaces.insight import Paused, Queue
from saros.interfaces.insight import Worker as Announced
from saros.interfaces.insight.pending import Pending
from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import Commit
from saros.model.clock import steady_ns
from saros.model.execution import Description, HistoryPage, Started, StartRequest, Watcher
from saros.model.values import Json

from .keys import ACTIVITIES, OUT, RUNS, Keys
from .leases.intake import Intake
from .leases.leases import Leases
from .leases.prefetch import Prefetch
from .leases.readers import Readers
from .leases.reclaim import Reclaim
from .leases.worker import Worker
from .options import Options
from .parts.activity_results import ActivityResults
from .parts.deadlines import Alarm, Deadlines
from .parts.executions import Executions
from .parts.housekeeping import Housekeeping
from .parts.listing import Listing
from .parts.lookout import Lookout
from .parts.name_registry import NameRegistry
from .parts.node_registry import NodeRegistry
from .parts.outbox import Outbox
from .parts.subscriptions import Subscriptions
from .parts.workflow_tasks import WorkflowTasks
from .server.check import check
from .server.client import Client
from .server.partitions import Partitions
from .server.server_clock import RedisClock

STOP_S = 10.0
"""How long handing over the leased tasks may take."""


class RedisStore:
    """See `saros.interfaces.store.Store`. Everything but `open` and `close` needs an open store."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = options.url
        self.clock = RedisClock()

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        options = self.options
        client = self._client = Client(options)
        try:
            keys = Keys(options.prefix, await check(client, client.commands))
            self._partitions = Partitions(client, keys, options.lease)
            self._open_clients_parts()
            await self._open_worker_parts()
        except BaseException:
            await client.close()
            raise

    def _open_clients_parts(self) -> None:
        options, client, partitions = self.options, self._client, self._partitions
        self._executions = Executions(partitions, options.payload)
        self._listing = Listing(partitions)
        self._lookout = Lookout(partitions)
        self._names = NameRegistry(partitions, options.lease, client.forgiven)
        self._nodes = NodeRegistry(options, client, partitions)
        self._subscriptions = Subscriptions(partitions, client.listener)

    async def _open_worker_parts(self) -> None:
        options, client, partitions = self.options, self._client, self._partitions
        leases = self._leases = Leases()
        prefetch = self._prefetch = Prefetch(partitions.keys)
        intake = Intake(options, partitions, prefetch, leases, self.clock)
        worker = Worker(options, client, partitions, prefetch, intake, leases)
        self._readers = Readers(worker)
        alarm = self._alarm = Alarm()
        consumer, payload = prefetch.consumer, options.payload
        self._tasks = WorkflowTasks(partitions, leases, intake, alarm, consumer, payload)
        self._results = ActivityResults(partitions, leases, intake, alarm, payload)
        self._outbox = Outbox(partitions, leases, intake)
        deadlines = Deadlines(partitions, self.clock, alarm, prefetch.stream_names)
        self._housekeeping = Housekeeping(
            options, partitions, prefetch.stream_names, deadlines, Reclaim(worker), self._names
        )
        await intake.absorb(0, await partitions.run("take_wanted", 0, []))  # the server's time

    async def run(self) -> None:
        try:
            await self._housekeeping.run()
        finally:
            with move_on_after(STOP_S, shield=True):
                await self._readers.stop()

    async def close(self) -> None:
        """Close every part, even if one fails or the caller is cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._client.close)
            stack.push_async_callback(self._subscriptions.close)
            stack.push_async_callback(self._names.close)
            stack.push_async_callback(self._nodes.close)
            await self._readers.stop()

    # --- workers ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _taking(self, kind: str, queues: Sequence[str] = ()) -> AsyncIterator[None]:
        """Keep a buffer filled while a worker takes from it; a cancelled worker takes no more."""
        self._readers.start(kind, tuple(queues))
        try:
            yield
        except asyncio.CancelledError:
            await self._readers.leave(kind, tuple(queues))
            raise

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        self._prefetch.queues = tuple(queues)
        async with self._taking(RUNS):
            return await self._prefetch.tasks.take(limit)

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        await self._lookout.note(task.task_queue for commit in commits for task in commit.activities)
        return await self._tasks.commit(commits)

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        await self._tasks.park(task, problem, delay, hung)

    def last_words(self) -> RedisStore:
        return RedisStore(self.options)

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        buffer = self._prefetch.activities_of(queues)
        async with self._taking(ACTIVITIES, queues):
            return await buffer.take(limit)

    async def settle(self, results: Sequence[Settled]) -> None:
        await self._results.settle(results)

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        return await self._results.heartbeat(lease, details)

    async def outbox(self, limit: int) -> list[Outgoing]:
        async with self._taking(OUT):
            return await self._prefetch.out.take(limit)

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        await self._outbox.delivered(entry, reply)

    async def give_back(self, entries: Sequence[Outgoing]) -> None:
        """The end of `run` gives back everything."""

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        await self._lookout.note([new.run.task_queue])
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

    def troubled(self, trouble: str, query: str = "") -> AsyncIterator[Description]:
        return self._listing.executions(query, trouble)

    async def history(self, id: str, run_id: str = "", start: int = 0, limit: int = 0) -> HistoryPage | None:
        return await self._executions.history(id, run_id, start, limit)

    async def changed(self, id: str, run_id: str, length: int) -> None:
        await self._subscriptions.changed(id, run_id, length)

    async def release(self, id: str) -> bool:
        """Retry the tasks of an execution that were set aside; return False if there are none."""
        return await self._executions.release(id)

    # --- insight ----------------------------------------------------------------------------

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        return await self._lookout.pending(id, run_id)

    async def beat(self, worker: Announced, ns: int) -> None:
        await self._lookout.beat(worker, ns)

    async def workers(self) -> list[Announced]:
        return await self._lookout.workers()

    async def queues(self) -> list[Queue]:
        return await self._lookout.queues()

    async def counts(self, query: str = "") -> dict[str, int]:
        return await self._listing.counts(query)

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        await self._lookout.pause(schedule, paused)

    async def paused(self) -> dict[str, Paused]:
        return await self._lookout.paused()

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
