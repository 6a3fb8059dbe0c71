"""What people may ask of the store in memory: what is pending, who works, how long queues are."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import msgspec

from saros.insight.queues import queues_of
from saros.interfaces.insight import Paused, Queue, Worker, counted
from saros.interfaces.insight.pending import Pending
from saros.model.execution import Description
from saros.model.query import parse
from saros.model.search import matches

from .state import State


class Lookout(State):
    """See `saros.interfaces.insight.InsightStore`."""

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        execution = self._find(id, run_id)
        return execution.description() if execution else None

    async def executions(self, query: str = "") -> AsyncIterator[Description]:
        node = parse(query, dt.datetime.fromtimestamp(self.clock.now() / 1e9, dt.UTC))
        for execution in reversed(list(self._runs.values())):
            description = execution.description()
            if matches(node, description):
                yield description

    async def counts(self, query: str = "") -> dict[str, int]:
        return await counted(self.executions(query))

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
        running = (execution for execution in self._runs.values() if execution.running)
        return queues_of((execution.pending() for execution in running), self.clock.now())

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        self._paused.pop(schedule, None)
        if paused is not None:
            self._paused[schedule] = paused

    async def paused(self) -> dict[str, Paused]:
        return dict(self._paused)
