"""Histories of executions, fetched and decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from saros.interfaces.deployment import Deployment
from saros.interfaces.history import LAST
from saros.model.execution import RUNNING, HistoryPage, Parent, Pid, Record, Run

from ..wire.ends import CLOSED, Problem, problem_of, status_of
from ..wire.history_events import Records, array, has_run, records
from ..wire.payloads import TRACE, payloads_in


class Source(Protocol):
    """The source of histories: a namespace."""

    @property
    def client(self) -> Client: ...

    @property
    def deployment(self) -> Deployment: ...

    @property
    def places(self) -> Places: ...

    def worker_of(self, queue: str) -> str: ...


_RUNS: Final = 32
_TOKENS: Final = 64


class Places:
    """Where reading a history can go on: the server's page tokens, and the number of records before each page.

    A token shows the history as it was when its first page was read.
    """

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], tuple[Run, dict[int, bytes]]] = OrderedDict()

    def before(self, id: str, run_id: str, start: int) -> tuple[Run | None, int, bytes]:
        """Return the run, and the last known place with at most `start` records before it."""
        run, tokens = self._places.get((id, run_id), (None, {}))
        number = max((number for number in tokens if number <= start), default=0)
        return run, number, tokens.get(number, b"")

    def add(self, run: Run, number: int, token: bytes) -> None:
        """Remember a place; those of runs that were read least recently are forgotten."""
        key = run.id, run.run_id
        tokens = self._places.pop(key, (run, {}))[1]
        while len(tokens) >= _TOKENS:
            del tokens[next(iter(tokens))]
        tokens[number] = token
        self._places[key] = run, tokens
        if len(self._places) > _RUNS:
            self._places.popitem(last=False)

    def forget(self, id: str, run_id: str) -> None:
        self._places.pop((id, run_id), None)


class _Part(NamedTuple):
    run: Run
    records: list[Record]
    last: HistoryEvent  # that was read
    ended: bool  # whether it is the last that the server gave


class HistoryClient:
    """The history of one run."""

    def __init__(self, source: Source, id: str, run_id: str) -> None:
        self._source = source
        self._id = id
        self._run_id = run_id

    async def page(self, start: int, wait: bool, limit: int = 0) -> HistoryPage:
        """See `saros.interfaces.backend.Backend.history`. With a limit, only a page is kept in memory."""
        if start == LAST:
            return await self._last_page()
        if limit and not wait:
            return await self._page(start, limit)
        page = await self._rest(start, wait)
        return page._replace(records=page.records[:limit]) if limit else page

    async def _rest(self, start: int, wait: bool) -> HistoryPage:
        events = await self.events()
        await self._decode(events)
        while True:
            found = records(events)
            status, following = status_of(events[-1])
            if len(found) > start or status != RUNNING or not wait:
                break
            fresh = await self._newer(len(events))
            await self._decode(fresh)
            events += fresh
        return HistoryPage(self._run(events[0]), start, found[start:], status, following)

    async def _page(self, start: int, limit: int) -> HistoryPage:
        self._run_id = self._run_id or (await self._first()).run_id
        places, newest = self._source.places, await self._newest()
        run, number, token = places.before(self._id, self._run_id, start)
        try:
            part = await self._part(run, number, token, start, limit)
        except RPCError as error:
            if not token or error.status != RPCStatusCode.INVALID_ARGUMENT:
                raise
            part = None  # the server does not know the token any more
        if part is None or (token and part.ended and part.last.event_id < newest.event_id):
            places.forget(self._id, self._run_id)  # the history has grown since
            part = await self._part(None, 0, b"", start, limit)
        return HistoryPage(part.run, start, part.records, *status_of(newest))

    async def _part(self, run: Run | None, number: int, token: bytes, start: int, limit: int) -> _Part:
        """Read the records from number `start` on, beginning at a place with `number` records before it."""
        reader, found, ran, last = Records(), list[Record](), bool(token), HistoryEvent()
        async for events, following in self._pages_from(token):
            if not events:  # of a last page, after a full one
                continue
            await self._decode(events)
            run, last = run or self._run(events[0]), events[-1]
            fresh = reader.of(events)
            ran = ran or any(map(has_run, events))
            found += fresh[max(0, start - number) : max(0, start + limit - number)]
            number += len(fresh)
            if following and ran:
                self._source.places.add(run, number, following)
            if ran and number >= start + limit:
                break
        assert run is not None  # the server gives at least the first event
        return _Part(run, found if ran else [], last, not following)

    async def _first_event(self) -> HistoryEvent:
        request = self._request()
        request.maximum_page_size = 1
        response = await self._source.client.workflow_service.get_workflow_execution_history(request)
        return response.history.events[0]

    async def _first(self) -> Run:
        event = await self._first_event()
        await self._decode([event])
        self._run_id = event.workflow_execution_started_event_attributes.original_execution_run_id
        return self._run(event)

    async def _newest(self) -> HistoryEvent:
        async for events in self._backwards(1):
            return events[0]
        raise AssertionError("a history has at least one event")

    async def _last_page(self) -> HistoryPage:
        """The last record of the history, which is read backwards."""
        run, newest = await self._first(), await self._newest()
        found: list[Record] = []
        async for events in self._backwards(20):
            for event in events:
                await self._decode([event])
                found = found or Records().of([event])[-1:]
            if found:
                break
        ran = [] if found and found[0].op == "start" and newest.event_type not in CLOSED else found
        return HistoryPage(run, LAST, ran, *status_of(newest))

    async def decoded(self) -> WorkflowHistory:
        """Return the history in Temporal's format, with decoded payloads."""
        events = await self.events()
        await self._decode(events)
        return WorkflowHistory(self._id, events)

    async def attempt(self) -> int:
        """Return the run's attempt number under its retry policy, from 1; only its first event has it."""
        return (await self._first_event()).workflow_execution_started_event_attributes.attempt

    async def problem(self) -> Problem | None:
        """Return why the last workflow task failed."""
        async for events in self._backwards(20):
            return problem_of(events)
        return None

    async def _backwards(self, size: int) -> AsyncIterator[Sequence[HistoryEvent]]:
        """Yield the events of the run in pages of `size`, the newest first."""
        client = self._source.client
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace, maximum_page_size=size
        )
        request.execution.workflow_id, request.execution.run_id = self._id, self._run_id
        while True:
            response = await client.workflow_service.get_workflow_execution_history_reverse(
                request, retry=True
            )
            yield response.history.events
            if not response.next_page_token:
                return
            request.next_page_token = response.next_page_token

    async def events(self) -> list[HistoryEvent]:
        """Return all events of the run, as the server has them."""
        events = [event async for page in self.pages() for event in page]
        if not self._run_id:
            self._run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id
        return events

    async def pages(self) -> AsyncIterator[Sequence[HistoryEvent]]:
        """Yield the events of the run in pages, as the server has them."""
        async for events, _ in self._pages_from(b""):
            yield events

    async def _pages_from(self, token: bytes) -> AsyncIterator[tuple[Sequence[HistoryEvent], bytes]]:
        """Yield pages of events from a token on, each with the token of the next page."""
        request = self._request()
        request.next_page_token = token
        service = self._source.client.workflow_service
        while True:
            response = await service.get_workflow_execution_history(request, retry=True)
            yield response.history.events, response.next_page_token
            if not response.next_page_token:
                return
            request.next_page_token = response.next_page_token

    async def _newer(self, known: int) -> list[HistoryEvent]:
        """Return the events after the known ones, if any."""
        request = self._request()
        request.wait_new_event = True
        service = self._source.client.workflow_service
        seen = 0
        while True:
            response = await service.get_workflow_execution_history(request, retry=True)
            batch = list(response.history.events)
            fresh = batch[max(0, known - seen) :]
            seen += len(batch)
            if fresh or not response.next_page_token:
                return fresh
            request.next_page_token = response.next_page_token

    def _request(self) -> GetWorkflowExecutionHistoryRequest:
        request = GetWorkflowExecutionHistoryRequest(namespace=self._source.client.namespace)
        request.execution.workflow_id, request.execution.run_id = self._id, self._run_id
        return request

    async def _decode(self, events: Sequence[HistoryEvent]) -> None:
        codec = self._source.client.data_converter.payload_codec
        if codec is None:
            return
        for event in events:
            for payload in payloads_in(event):
                payload.CopyFrom((await codec.decode([payload]))[0])

    def _run(self, event: HistoryEvent) -> Run:
        started = event.workflow_execution_started_event_attributes
        deployment = self._source.deployment
        entry = deployment.registry.by_type(started.workflow_type.name)
        queue = started.task_queue.name
        place = self._source.worker_of(queue)
        parent = started.parent_workflow_execution
        trace = started.header.fields.get(TRACE)
        return Run(
            self._id,
            self._run_id,
            entry.id if entry else started.workflow_type.name,
            started.workflow_type.name,
            "" if place == "default" else place,
            queue,
            event.event_time.ToNanoseconds(),
            parent=Parent(str(Pid("", parent.workflow_id)), parent.run_id) if parent.run_id else None,
            attempt=started.attempt,
            first_run_id=started.first_execution_run_id,
            continued_from=started.continued_execution_run_id,
            args=array(started.input.payloads),
            trace=msgspec.json.decode(trace.data, type=str) if trace is not None else "",
        )
