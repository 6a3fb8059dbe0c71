"""Histories of executions, fetched and decoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowHistory

from saros.interfaces.deployment import Deployment
from saros.interfaces.history import LAST
from saros.model.execution import RUNNING, HistoryPage, Parent, Pid, Record, Run

from ..wire.history_events import CLOSED, Records, array, has_run
from ..wire.payloads import TRACE

FEW: Final = 20
"""Events among which the last of a kind is looked for."""


class Source(Protocol):
    """The source of histories: a namespace."""

    @property
    def client(self) -> Client: ...

    @property
    def deployment(self) -> Deployment: ...

    def worker_of(self, queue: str) -> str: ...


class HistoryClient:
    """The history of one run."""

    def __init__(self, source: Source, id: str, run_id: str) -> None:
        self._source = source
        self._id = id
        self._run_id = run_id

    async def page(self, start: int, wait: bool, limit: int = 0) -> HistoryPage:
        """See `saros.interfaces.backend.Backend.history`. With a limit, no more is read than that needs."""
        if start == LAST:
            return await self._last_page()
        events: list[HistoryEvent] = []
        found: list[Record] = []
        ran, reader, last = False, Records(), None
        async with aclosing(self.pages()) as pages:
            async for batch in pages:
                fresh = await self._decoded(batch)
                events += fresh
                found += reader.of(fresh)
                ran = ran or any(map(has_run, fresh))
                if limit and ran and len(found) > start + limit:
                    last = await self._last()
                    break
        self._learn_run_id(events)
        while not (ran and len(found) > start) and _status(events[-1])[0] == RUNNING and wait:
            fresh = await self._decoded(await self._newer(len(events)))
            events += fresh
            found += reader.of(fresh)
            ran = ran or any(map(has_run, fresh))
        status, following = _status(last or events[-1])
        chosen = found[start : start + limit if limit else None] if ran else []
        return HistoryPage(self._run(events[0]), start, chosen, status, following)

    async def _last_page(self) -> HistoryPage:
        """Return the last record of a run, if it is among the last events."""
        first = (await self._decoded(await self._first()))[0]
        self._learn_run_id([first])
        events = await self._decoded(await self._reversed(FEW))
        status, following = _status(events[0])
        found = Records().of(reversed(events))
        return HistoryPage(self._run(first), LAST, found[-1:], status, following)

    async def decoded(self) -> WorkflowHistory:
        """Return the history in Temporal's format, with decoded payloads."""
        events = await self._decoded(await self.events())
        return WorkflowHistory(self._id, events)

    async def attempt(self) -> int:
        """Return the run's attempt number under its retry policy, from 1; only its first event has it."""
        first = (await self._first())[0]
        return first.workflow_execution_started_event_attributes.attempt

    async def _first(self) -> Sequence[HistoryEvent]:
        request = self._request()
        request.maximum_page_size = 1  # a hint: more may come
        response = await self._source.client.workflow_service.get_workflow_execution_history(request)
        return response.history.events

    async def _last(self) -> HistoryEvent:
        return (await self._reversed(1))[0]

    async def _reversed(self, limit: int) -> Sequence[HistoryEvent]:
        """Return the last events of the run, the last one first."""
        client = self._source.client
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace, maximum_page_size=limit
        )
        request.execution.workflow_id, request.execution.run_id = self._id, self._run_id
        response = await client.workflow_service.get_workflow_execution_history_reverse(request)
        return response.history.events

    async def problem(self) -> str | None:
        """Return why the last workflow task failed."""
        for event in await self._reversed(FEW):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure.message
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                return "the workflow task timed out: no worker finished it in time"
        return None

    async def events(self) -> list[HistoryEvent]:
        """Return all events of the run, as the server has them."""
        events = [event async for page in self.pages() for event in page]
        self._learn_run_id(events)
        return events

    def _learn_run_id(self, events: Sequence[HistoryEvent]) -> None:
        if not self._run_id:
            self._run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id

    async def pages(self) -> AsyncGenerator[Sequence[HistoryEvent], None]:
        """Yield the events of the run in pages, as the server has them."""
        request = self._request()
        service = self._source.client.workflow_service
        while True:
            response = await service.get_workflow_execution_history(request, retry=True)
            yield response.history.events
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

    async def _decoded(self, events: Sequence[HistoryEvent]) -> list[HistoryEvent]:
        """Return events whose payloads the codec has decoded, if there is one."""
        found = list(events)
        codec = self._source.client.data_converter.payload_codec
        if codec is not None:
            for event in found:
                for payload in _payloads(event):
                    payload.CopyFrom((await codec.decode([payload]))[0])
        return found

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


def _payloads(message: Message) -> Iterator[Payload]:
    """Yield every payload anywhere in a message."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                continue
            items = list(value.values())
        else:
            items = list(value) if field.is_repeated else [value]
        for item in items:
            if isinstance(item, Payload):
                yield item
            else:
                yield from _payloads(item)


def _status(event: HistoryEvent) -> tuple[str, str]:
    """Return the status of a run that ends with this event, and the run that follows it."""
    status = CLOSED.get(event.event_type, RUNNING)
    if status == RUNNING:
        return RUNNING, ""
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    return status, getattr(attributes, "new_execution_run_id", "")
