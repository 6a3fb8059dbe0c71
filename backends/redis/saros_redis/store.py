"""The Redis store: the parts put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from saros.errors import Error
from saros.execution import Description, HistoryPage, Started, StartRequest, Watcher
from saros.store import CallLease, Commit, Mail, NewRun, Outgoing, Settled, WorkflowTask
from saros.values import Json

from .calls import Calls
from .check import check
from .client import Client
from .clock import RedisClock
from .connect import connect_thread
from .core import Core
from .executions import Executions
from .held import Renewer
from .housekeeping import Housekeeping
from .keys import Keys
from .listing import Listing
from .names import Names
from .notify import Notify
from .options import Options
from .outbox import Outbox
from .readers import CALLS, OUT, RUNS, Reader
from .tasks import Tasks
from .timers import Alarm, Timers

log = logging.getLogger("saros.redis")


class RedisStore:
    """See `saros.store.Store`. Everything but `open` and `close` needs an open store."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = options.url
        self.clock = RedisClock()
        self.core: Core
        self._background: list[asyncio.Task[None]] = []
        self._renewer: Renewer | None = None

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
        self._notify = Notify(core)
        alarm = Alarm()
        self._tasks = Tasks(core, alarm)
        self._calls = Calls(core, alarm)
        self._outbox = Outbox(core)
        self._housekeeping = Housekeeping(core, Timers(core, alarm))
        await core.absorb(0, await core.run("take_wanted", 0, []))  # the server's time

    async def run(self) -> None:
        await self._housekeeping.run()

    async def close(self) -> None:
        for buffer in (self.core.tasks, self.core.calls, self.core.out):
            buffer.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()
        if self._renewer is not None:
            await asyncio.to_thread(self._renewer.stop)
            await self._give_back()
            self._renewer = None
        await self._names.close()
        await self._notify.close()
        await self.core.client.close()

    async def _give_back(self) -> None:
        """Hand what is still leased to other workers, who then need not wait for the leases to end."""
        core = self.core
        with contextlib.suppress(Error):  # a server that is away has the leases end
            for partition in range(core.keys.partitions):
                args = [core.consumer, core.queues, core.call_queues]
                await core.run("give_back", partition, args, 1.0)

    def _serve(self, kind: str) -> None:
        """Start what fills a buffer; the first time also what keeps the leases."""
        core = self.core
        if self._renewer is None:
            thread = connect_thread(self.options)
            self._renewer = Renewer(core.held, thread, core.keys.tags, core.consumer, self.options.lease)
            self._renewer.start()
        everything = range(core.keys.partitions)
        parts: Any = [[partition] for partition in everything] if self.options.cluster else [everything]
        for partitions in parts:
            reader = Reader(core, kind, list(partitions))
            self._background.append(asyncio.create_task(reader.run()))

    # --- workers ----------------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        if not self.core.queues:
            self.core.queues = tuple(queues)
            self._serve(RUNS)
        return await self.core.tasks.take(limit)

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        return await self._tasks.commit(commits)

    async def park(self, task: WorkflowTask, problem: str, delay: int) -> None:
        await self._tasks.park(task, problem, delay)

    async def take_calls(self, queues: Sequence[str], limit: int) -> list[CallLease]:
        if not self.core.call_queues:
            self.core.call_queues = tuple(queues)
            self._serve(CALLS)
        return await self.core.calls.take(limit)

    async def settle(self, results: Sequence[Settled]) -> None:
        await self._calls.settle(results)

    async def heartbeat(self, lease: CallLease, details: Json | None) -> bool:
        return await self._calls.heartbeat(lease, details)

    async def outbox(self, limit: int) -> list[Outgoing]:
        if not self.core.out.serving:
            self._serve(OUT)
        return await self.core.out.take(limit)

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        await self._outbox.delivered(entry, reply)

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        return await self._executions.start(new, request)

    async def post(self, id: str, mail: Mail) -> bool:
        return await self._executions.post(id, mail)

    async def terminate(self, id: str, outcome: Json, run_id: str = "") -> bool:
        return await self._executions.terminate(id, outcome, run_id)

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
