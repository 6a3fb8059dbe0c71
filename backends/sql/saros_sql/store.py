"""The SQL store: the parts put together."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from saros.insight.query import parse
from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.history import LAST, NewRun, WorkflowTask
from saros.interfaces.insight import Paused, Queue, Worker, counted
from saros.interfaces.insight.pending import Pending
from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import Commit, check_size
from saros.model.clock import RealClock
from saros.model.execution import Description, HistoryPage, Started, StartRequest, Watcher, new_id
from saros.model.records import pack
from saros.model.search import Node
from saros.model.values import Json

from .database.rows import read_watchers
from .database.transaction import ACTIVITIES, NODES, OUTBOX, SESSIONS, TASKS, Transaction
from .housekeeping import Housekeeping
from .link import Link
from .options import Options
from .parts import activities, deliveries, insight, listing, names, requests, sessions, views, workflow_tasks

MAILS: Final = 100
_read_mail = msgspec.json.Decoder(NodeMail).decode


class SqlStore:
    """See `saros.interfaces.store.Store`. Everything but `open` and `close` needs an open store."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = options.url
        self._wall: Callable[[], int] = time.time_ns
        self.clock = RealClock(lambda: self._wall())

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        self._link = Link(self.options, new_id())
        await self._link.open()
        self._wall = self._link.clock.wall

    async def run(self) -> None:
        await self._link.join()
        await Housekeeping(self.options, self._link).run()

    async def close(self) -> None:
        await self._link.close()

    def last_words(self) -> SqlStore:
        return SqlStore(self.options)

    # --- workers ----------------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        find = partial(workflow_tasks.take, queues=queues, limit=limit)
        return await self._link.find(TASKS, find, workflow_tasks.give_back)

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        most = self.options.payload
        return await self._link.write(
            lambda tx: workflow_tasks.commit(tx, commits, most),
            full=True,
            ids=tuple(commit.run.id for commit in commits),
        )

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        await self._link.write(
            lambda tx: workflow_tasks.park(tx, task, problem, delay, hung), full=hung, ids=(task.run.id,)
        )

    async def take_activities(self, queues: Sequence[str], limit: int) -> list[ActivityLease]:
        find = partial(activities.take, queues=queues, limit=limit)
        return await self._link.find(ACTIVITIES, find, activities.give_back)

    async def settle(self, results: Sequence[Settled]) -> None:
        ids = tuple(result.lease.task.id for result in results)
        await self._link.write(lambda tx: activities.settle(tx, results), ids=ids)

    async def heartbeat(self, lease: ActivityLease, details: Json | None) -> bool:
        return await self._link.write(lambda tx: activities.heartbeat(tx, lease, details), light=True)

    async def outbox(self, limit: int) -> list[Outgoing]:
        return await self._link.find(OUTBOX, partial(deliveries.take, limit=limit), deliveries.give_back)

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        await self._link.write(lambda tx: deliveries.delivered(tx, entry, reply), ids=(entry.id,))

    async def give_back(self, entries: Sequence[Outgoing]) -> None:
        await self._link.write(lambda tx: deliveries.give_back(tx, entries))

    # --- clients ----------------------------------------------------------------------------

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        for mail in new.mails:
            check_size(mail.body, self.options.payload, f"the input of {request.id}")
        ids = (request.id, request.name) if request.name else (request.id,)
        return await self._link.write(lambda tx: requests.start(tx, new, request), full=True, ids=ids)

    async def post(self, id: str, mail: Mail) -> bool:
        check_size(mail.body, self.options.payload, f"a message to {id}")
        return await self._link.write(lambda tx: requests.post(tx, id, mail), full=True, ids=(id,))

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        return await self._link.write(
            lambda tx: requests.terminate(tx, id, outcome, run_id, request), full=True, ids=(id,)
        )

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        return await self._link.write(
            lambda tx: requests.time_out(tx, id, run_id, outcome, following), full=True, ids=(id,)
        )

    async def watch(self, id: str, watcher: Watcher) -> bool:
        return await self._link.write(lambda tx: requests.watch(tx, id, watcher), full=True, ids=(id,))

    async def unwatch(self, id: str, pid: str) -> None:
        await self._link.write(lambda tx: requests.unwatch(tx, id, pid), full=True, ids=(id,))

    async def release(self, id: str) -> bool:
        return await self._link.write(lambda tx: requests.release(tx, id), full=True, ids=(id,))

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        return await self._link.read(lambda tx: views.describe(tx, id, run_id), bare=True)

    async def executions(self, query: str = "", trouble: str = "") -> AsyncIterator[Description]:
        node = self._parse(query)
        before: int | None = None
        while True:
            find = partial(listing.page, node=node, before=before, trouble=trouble)
            page, before = await self._link.read(find)
            for description in page:
                yield description
            if before is None:
                return

    async def history(self, id: str, run_id: str = "", start: int = 0, limit: int = 0) -> HistoryPage | None:
        if start == LAST:
            return await self._link.read(lambda tx: views.last(tx, id, run_id), bare=True)
        return await self._link.read(lambda tx: views.history(tx, id, run_id, start, limit))

    async def changed(self, id: str, run_id: str, length: int) -> None:
        link = self._link
        await link.listen()
        while True:
            news = link.waiting.expect_run(run_id, length)
            try:
                if await link.read(lambda tx: views.length(tx, id, run_id), bare=True) > length:
                    return
                if await news:
                    return
            finally:
                link.waiting.drop_run(run_id, news)

    def _parse(self, query: str) -> Node:
        return parse(query, dt.datetime.fromtimestamp(self.clock.now() / 1e9, dt.UTC))

    # --- insight ----------------------------------------------------------------------------

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        return await self._link.read(lambda tx: insight.pending(tx, id, run_id))

    async def beat(self, worker: Worker, ns: int) -> None:
        await self._link.write(lambda tx: insight.beat(tx, worker, ns), light=True)

    async def workers(self) -> list[Worker]:
        return await self._link.read(insight.workers)

    async def queues(self) -> list[Queue]:
        return await self._link.read(insight.queues)

    def troubled(self, trouble: str, query: str = "") -> AsyncIterator[Description]:
        return self.executions(query, trouble)

    async def counts(self, query: str = "") -> dict[str, int]:
        node = self._parse(query)
        if listing.is_exact(node):
            return await self._link.read(lambda tx: listing.counts(tx, node))
        return await counted(self.executions(query))

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        await self._link.write(lambda tx: insight.pause(tx, schedule, paused), full=True)

    async def paused(self) -> dict[str, Paused]:
        return await self._link.read(insight.paused)

    # --- names ------------------------------------------------------------------------------

    async def register(self, name: str, pid: str) -> bool:
        if pid.startswith("@"):
            await self._link.join()
        return await self._link.write(lambda tx: names.register(tx, name, pid), full=True, ids=(name,))

    async def lookup(self, name: str) -> str | None:
        # After what this process has asked for before: the name of a process that has ended is free.
        return await self._link.write(lambda tx: names.lookup(tx, name), light=True)

    async def unregister(self, name: str, pid: str = "") -> bool:
        return await self._link.write(lambda tx: names.unregister(tx, name, pid), full=True, ids=(name,))

    # --- nodes ------------------------------------------------------------------------------

    async def join_node(self, node: str) -> None:
        await self._link.join()
        await self._link.write(lambda tx: sessions.join_node(tx, node))
        self._link.nodes.add(node)

    async def send_node(self, node: str, mail: NodeMail) -> bool:
        check_size(bytes(mail.body), self.options.payload, f"a message to {mail.to}")
        blob = pack(mail)
        return await self._link.write(lambda tx: sessions.send_node(tx, node, blob))

    async def node_mail(self, node: str) -> list[NodeMail]:
        found: list[bytes] = await self._link.find(NODES, partial(sessions.node_mail, node=node, limit=MAILS))
        return [_read_mail(blob) for blob in found]

    async def watch_node(self, pid: str, watcher: Watcher) -> None:
        await self._note(sessions.watch_node, pid, watcher)

    async def unwatch_node(self, pid: str, watcher: Watcher) -> None:
        await self._note(sessions.unwatch_node, pid, watcher)

    async def _note(self, call: Any, pid: str, watcher: Watcher) -> None:
        node = pid.partition("|")[0]
        await self._link.write(lambda tx: call(tx, node, pid, pack(watcher)), full=True)

    async def lost_nodes(self) -> list[LostNode]:
        def find(tx: Transaction) -> list[LostNode]:
            lost = []
            for node in sessions.lost_nodes(tx):
                rows = sessions.watches(tx, node)
                watchers = read_watchers((blob for _, blob in rows), node)
                lost.append(LostNode(node, [(rows[number][0], each) for number, each in watchers]))
            return lost

        return await self._link.find(SESSIONS, find)

    async def forget_node(self, node: str) -> None:
        await self._link.write(lambda tx: sessions.forget_node(tx, node), full=True)
