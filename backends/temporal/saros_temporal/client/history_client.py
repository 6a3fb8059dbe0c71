"""Histories of executions, fetched and decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

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
from saros.model.execution import RUNNING, HistoryPage, Parent, Pid, Run

from ..wire.history_events import CLOSED, records
from ..wire.payloads import TRACE


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

    async def page(self, start: int, wait: bool) -> HistoryPage:
        """See `saros.interfaces.backend.Backend.history`."""
        events = await self.events()
        await self._decode(events)
        while True:
            found = records(events)
            status, following = _status(events[-1])
            if len(found) > start or status != RUNNING or not wait:
                break
            fresh = await self._newer(len(events))
            await self._decode(fresh)
            events += fresh
        return HistoryPage(self._run(events[0]), start, found[start:], status, following)

    async def decoded(self) -> WorkflowHistory:
        """Return the history in Temporal's format, with decoded payloads."""
        events = await self.events()
        await self._decode(events)
        return WorkflowHistory(self._id, events)

    async def attempt(self) -> int:
        """Return the run's attempt number under its retry policy, from 1; only its first event has it."""
        request = self._request()
        request.maximum_page_size = 1
        response = await self._source.client.workflow_service.get_workflow_execution_history(request)
        return response.history.events[0].workflow_execution_started_event_attributes.attempt

    async def problem(self) -> str | None:
        """Return why the last workflow task failed."""
        client = self._source.client
        request = GetWorkflowExecutionHistoryReverseRequest(namespace=client.namespace, maximum_page_size=20)
        request.execution.workflow_id, request.execution.run_id = self._id, self._run_id
        response = await client.workflow_service.get_workflow_execution_history_reverse(request)
        for event in response.history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure.message
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                return "the workflow task timed out: no worker finished it in time"
        return None

    async def events(self) -> list[HistoryEvent]:
        """Return all events of the run, as the server has them."""
        events = [event async for page in self.pages() for event in page]
        if not self._run_id:
            self._run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id
        return events

    async def pages(self) -> AsyncIterator[Sequence[HistoryEvent]]:
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

    async def _decode(self, events: list[HistoryEvent]) -> None:
        codec = self._source.client.data_converter.payload_codec
        if codec is None:
            return
        for event in events:
            for payload in _payloads(event):
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
