"""What clients do with the executions of a store: start, result, list, history, query and update."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from anyio import move_on_after

from ..insight.known_commands import KnownCommands
from ..insight.store_insight import StoreInsight
from ..interfaces.deployment import Deployment
from ..interfaces.history import LAST, UNTIL_CLOSED
from ..interfaces.program import Inspection
from ..interfaces.signals import Mail
from ..interfaces.store import Store
from ..model import values
from ..model.clock import Clock, working
from ..model.errors import CANCELED as KIND_CANCELED
from ..model.errors import NOT_FOUND, TIMEOUT, UNAVAILABLE, Error, ErrorData
from ..model.execution import (
    CANCELED,
    RUNNING,
    HistoryPage,
    Started,
    StartRequest,
    new_id,
)
from ..model.presentation import export_history
from ..model.records import (
    ANSWER,
    COMPLETE,
    FAIL,
    QUERY,
    UPDATE,
    Answer,
    Event,
    HandlerCall,
    Outcome,
    outcome_ok,
    pack,
    unpack,
)
from ..model.values import Json
from . import runs
from .live import Live
from .replay import loading
from .runs import under_its_name

QUERY_S = 10.0
"""How long a query waits for the workflow tasks of a run that wait already."""
LOOK_S = 1.0
"""How often it looks whether such a task still waits."""


class StoreClient(StoreInsight):
    """The part of `StoreBackend` that works without workers in this process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.commands = KnownCommands(store)
        self._deployment: Deployment | None = None

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("the backend is not open")
        return self._deployment

    async def start(self, request: StartRequest) -> Started:
        if self._deployment is not None:
            self._deployment.registry.check_namespace(request.options, request.worker)
        request = await under_its_name(self.store, request)
        return await self.store.start(runs.first(request, self.clock.now()), request)

    async def result(self, id: str, run_id: str = "") -> Json:
        while True:
            if run_id:
                await self.store.changed(id, run_id, UNTIL_CLOSED)
            page = await self.history(id, run_id, LAST)
            run_id = page.run.run_id
            if page.status == RUNNING:
                continue
            if not page.next_run_id:
                return _outcome(page)
            run_id = page.next_run_id

    async def export(self, id: str, run_id: str = "") -> Any:
        page = await self.history(id, run_id)
        return export_history(page)

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        """Replay the history in this process: nothing is recorded, and ended runs answer too.

        As on Temporal, a query sees what was acknowledged before it: it waits for the tasks that wait already.
        """
        page = await self._caught_up(id, run_id, name)
        live = await self._replayed(page)
        try:
            body = pack(HandlerCall("query", name, msgspec.Raw(args)))
            with working(self.clock):
                outputs = await self.deployment.turns.step(
                    lambda: live.program.advance([Event(QUERY, 0, body, live.time)])
                )
        finally:
            live.close()
        (command,) = [command for command in outputs[0] if command.op == ANSWER]
        return _answered(unpack(command.body, Answer))

    async def inspected(self, id: str, run_id: str) -> Inspection:
        """Replay the history in this process."""
        page = await self.history(id, run_id)
        if not page.records:
            return Inspection()
        live = await self._replayed(page)
        try:
            return live.program.inspect()
        finally:
            live.close()

    async def _replayed(self, page: HistoryPage) -> Live:
        with working(self.clock):
            return await self.deployment.turns.run(loading(page.run, self.deployment, page.records))

    async def _caught_up(self, id: str, run_id: str, name: str) -> HistoryPage:
        """Return the history of a run when no workflow task waits that did when this was called.

        A task that is under way may have begun before the last message came, and the one after it takes that
        message: two tasks are enough, however busy the run is. A parked one may wait for long and is not awaited.
        A run that continues as a new one leaves messages to it.
        """
        newest, length, ended, begins = not run_id, -1, 0, None
        try:
            async with asyncio.timeout(QUERY_S):
                while True:
                    # Before the history: what ends meanwhile is in it.
                    pending = await self.store.pending(id, run_id)
                    parked, begins = (pending.parked, pending.begins) if pending else (None, None)
                    waits = pending is not None and pending.task is not None and parked is None
                    if length == 0 and parked is not None:
                        text = f"{id} has not begun, because its first task is parked: {parked.problem}"
                        raise Error(text, UNAVAILABLE)
                    if length == 0 or (length > 0 and waits):
                        with move_on_after(LOOK_S):  # a task may also end without an event
                            await self.store.changed(id, run_id, length)
                    page = await self.history(id, run_id)
                    before, length, run_id = length, page.start + len(page.records), page.run.run_id
                    ended += 0 <= before < length
                    if newest and page.next_run_id and not await self._begins_later(id, page.next_run_id):
                        run_id, length, ended = page.next_run_id, -1, 0
                    elif page.status != RUNNING or ended == 2 or (length > 0 and not waits):
                        return page
        except TimeoutError:
            why = "check that a worker serves its task queue" if begins is None else "it has not begun yet"
            raise Error(f"no worker has answered the query {name} of {id}; {why}", TIMEOUT) from None

    async def _begins_later(self, id: str, run_id: str) -> bool:
        """Return whether a run waits for its time, as the next one of a cron schedule does."""
        pending = await self.store.pending(id, run_id)
        return pending is None or pending.begins is not None

    async def update(self, id: str, name: str, args: Json, trace: str = "") -> Json:
        call = HandlerCall(new_id(), name, msgspec.Raw(args), trace)
        page = await self.history(id)
        length = page.start + len(page.records)
        run_id = page.run.run_id
        if not await self.store.post(id, Mail(UPDATE, 0, pack(call), key=call.id)):
            raise Error(
                f"{id} has ended; only a running execution can be updated", NOT_FOUND, retryable=False
            )
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
            run_id, length = page.next_run_id, 0  # the next run gets what this one has not


def _outcome(page: HistoryPage) -> Json:
    last = page.records[-1]
    if last.op == COMPLETE and page.status == CANCELED:  # a cron schedule that has ended
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
