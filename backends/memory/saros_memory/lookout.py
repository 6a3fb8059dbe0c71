"""What people may ask of the store in memory: what is pending, who works, how long queues are."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import msgspec

from saros.insight.query import parse
from saros.insight.queues import queues_of
from saros.interfaces.insight import PARKED, RETRYING, WORKFLOW, Paused, Queue, Worker, counted
from saros.interfaces.insight.pending import Pending
from saros.model.execution import Description
from saros.model.search import All, Node, matches, required, statuses
from saros.model.values import readable

from .execution import Execution
from .state import State

_TROUBLED: Final[dict[str, Callable[[Execution], bool]]] = {
    PARKED: lambda execution: execution.problem is not None,
    RETRYING: lambda execution: execution.retries,
}
AT_ONCE: Final = 500
"""The runs that a list looks at before it lets others go on, because workers share the event loop."""


class _Fields:
    """What a query compares of a run, which most runs that a list looks at need no description for."""

    __slots__ = ("close_time", "id", "run_id", "search", "start_time", "status", "task_queue", "type")

    def __init__(self, execution: Execution) -> None:
        run = execution.run
        self.id, self.run_id, self.type, self.task_queue = run.id, run.run_id, run.type, run.task_queue
        self.start_time, self.close_time = run.start_time, execution.close_time
        self.status, self.search = execution.status, execution.search

    @property
    def search_attributes(self) -> Mapping[str, msgspec.Raw]:
        return {name: readable(raw) for name, raw in self.search.items()}


class Lookout(State):
    """See `saros.interfaces.insight.InsightStore`."""

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        execution = self._find(id, run_id)
        return execution.description() if execution else None

    async def executions(self, query: str = "", trouble: str = "") -> AsyncIterator[Description]:
        node = self._parse(query)
        may_be = statuses(All(tuple(each for each in required(node) if each.field == "status"))) or ()
        in_trouble = _TROUBLED.get(trouble)
        for number, execution in enumerate(reversed(list(self._runs.values())), 1):
            wanted = execution.status in may_be if in_trouble is None else in_trouble(execution)
            if wanted and matches(node, _Fields(execution)):
                yield execution.description()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def troubled(self, trouble: str, query: str = "") -> AsyncIterator[Description]:
        return self.executions(query, trouble)

    async def counts(self, query: str = "") -> dict[str, int]:
        asked = statuses(self._parse(query))
        if asked is None:
            return await counted(self.executions(query))
        counts = Counter([execution.status for execution in self._runs.values()])
        return {status: counts[status] for status in asked if counts[status]}

    def _parse(self, query: str) -> Node:
        return parse(query, dt.datetime.fromtimestamp(self.clock.now() / 1e9, dt.UTC))

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        execution = self._find(id, run_id)
        return execution.pending() if execution else None

    async def beat(self, worker: Worker, ns: int) -> None:
        self._workers.pop(worker.id, None)
        if ns > 0:
            told = msgspec.structs.replace(worker, heard=self.clock.now())
            self._workers[worker.id] = self.clock.steady() + ns, told

    async def workers(self) -> list[Worker]:
        now = self.clock.steady()
        return [worker for until, worker in self._workers.values() if until > now]

    async def queues(self) -> list[Queue]:
        """Most runs of a long list wait for nothing that a queue shows, or for their next task only."""
        running = [execution for execution in self._runs.values() if execution.running]
        found = queues_of((each.pending() for each in running if each.activities), self.clock.now())
        queues = {queue.name: queue for queue in found if queue.kind == WORKFLOW}
        for each in running:
            if not each.activities:
                name = each.run.task_queue
                queue = queues.get(name) or queues.setdefault(name, Queue(name, WORKFLOW, 0))
                if each.queued and not each.fence:
                    queue.waiting = (queue.waiting or 0) + 1
                    queue.oldest = each.since if queue.oldest is None else min(queue.oldest, each.since)
        return [queue for queue in found if queue.kind != WORKFLOW] + list(queues.values())

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        self._paused.pop(schedule, None)
        if paused is not None:
            self._paused[schedule] = paused

    async def paused(self) -> dict[str, Paused]:
        return dict(self._paused)
