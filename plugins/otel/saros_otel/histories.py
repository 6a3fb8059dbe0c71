"""Spans of past executions, made from their histories."""

from __future__ import annotations

from typing import Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from saros.interfaces.backend import Backend
from saros.interfaces.history import LAST
from saros.model.errors import NOT_FOUND, Error, ErrorData
from saros.model.execution import COMPLETED, CONTINUED, RUNNING, HistoryPage, Pid, Record, Run
from saros.model.records import (
    CALL,
    DONE,
    FAIL,
    MESSAGE,
    SPAWN,
    TIMER,
    UPDATE,
    Call,
    HandlerCall,
    Message,
    Outcome,
    Spawn,
    StartTimer,
    unpack,
)

from .carriers import Contexts, is_linked, read

MOST: Final = 1000
"""The most activities, links and events of a run that are written; beyond that, `saros.truncated` is set."""
SCOPE: Final = InstrumentationScope("saros")


class Histories:
    """Makes spans from the histories of a backend's runs."""

    def __init__(self, backend: Backend, contexts: Contexts, resource: Resource) -> None:
        self._backend = backend
        self._contexts = contexts
        self._resource = resource

    async def spans(self, id: str, run_id: str = "") -> list[ReadableSpan]:
        """Return the span of a run, followed by the spans of its activities.

        :raises Error: NOT_FOUND.
        """
        page = await self._backend.history(id, run_id)
        context = self._contexts.of_run(page.run)
        links = await self._links(page)
        return self._of_page(page, context, links)

    async def _links(self, page: HistoryPage) -> list[Link]:
        links: list[Link] = []
        run = page.run
        if run.continued_from:
            links += await self._link(run.id, run.continued_from, {"saros.link": "continued_from"})
        elif (not run.trace or is_linked(run.trace)) and run.parent is not None and run.parent.run_id:
            pid = Pid.parse(run.parent.pid)
            links += await self._link(pid.id if pid else "", run.parent.run_id, {"saros.link": "parent"})
        elif is_linked(run.trace):
            given = read(run.trace)
            if given is not None:
                links.append(Link(given, {"saros.link": "start"}))
        for record in page.records:
            if record.op == MESSAGE and len(links) < MOST:
                message = unpack(record.body, Message)
                attributes = {"saros.link": "signal", "saros.topic": message.topic}
                given = read(message.trace)
                sender = Pid.parse(message.sender)
                if given is not None:
                    links.append(Link(given, attributes))
                elif message.trace and sender is not None:
                    links += await self._link(sender.id, message.trace, attributes)
            elif record.op == UPDATE and len(links) < MOST:
                call = unpack(record.body, HandlerCall)
                given = read(call.trace)
                if given is not None:
                    links.append(Link(given, {"saros.link": "update", "saros.update": call.name}))
        return links

    async def _link(self, id: str, run_id: str, attributes: dict[str, str]) -> list[Link]:
        """Return a link to the span of another run, or nothing if its history no longer exists."""
        try:
            page = await self._backend.history(id, run_id, LAST)
        except Error as error:
            if error.kind != NOT_FOUND:
                raise
            return []
        return [Link(self._contexts.of_run(page.run), attributes)]

    def _of_page(self, page: HistoryPage, context: SpanContext, links: list[Link]) -> list[ReadableSpan]:
        run, records = page.run, page.records
        end = max([run.start_time, *(record.time for record in records[-1:])])
        events, activities = self._parts(page, context, end)
        attributes: dict[str, str | int] = {
            "saros.workflow_id": run.id,
            "saros.run_id": run.run_id,
            "saros.workflow_type": run.type,
            "saros.task_queue": run.task_queue,
            "saros.status": page.status,
            "saros.history_length": page.start + len(records),
            "saros.attempt": run.attempt,
        }
        if len(events) >= MOST or len(activities) >= MOST or len(links) >= MOST:
            attributes["saros.truncated"] = True
        error = unpack(records[-1].body, ErrorData) if records and records[-1].op == FAIL else None
        own = ReadableSpan(
            f"RunWorkflow:{run.type}",
            context,
            self._contexts.parent_of(run),
            self._resource,
            attributes,
            events,
            links,
            SpanKind.SERVER,
            status=_status(page.status, error),
            start_time=run.start_time,
            end_time=None if page.status == RUNNING else end,
            instrumentation_scope=SCOPE,
        )
        return [own, *activities]

    def _parts(
        self, page: HistoryPage, context: SpanContext, end: int
    ) -> tuple[list[Event], list[ReadableSpan]]:
        """Return the events of a run's span and the spans of its activities."""
        events: list[Event] = []
        spans: list[ReadableSpan] = []
        calls: dict[int, Record] = {}
        for record in page.records:
            if record.op == CALL:
                calls[record.ref] = record
            elif record.op == DONE and record.ref in calls and len(spans) < MOST:
                call = calls.pop(record.ref)
                error = msgspec.json.decode(record.body, type=Outcome).err
                spans.append(self._activity(page.run, context, call, record.time, error))
            elif len(events) < MOST:
                event = _event(record)
                if event is not None:
                    events.append(event)
        if page.status != RUNNING:
            for call in list(calls.values())[: MOST - len(spans)]:
                spans.append(self._activity(page.run, context, call, end, None))
        return events, spans

    def _activity(
        self, run: Run, parent: SpanContext, record: Record, end: int, error: ErrorData | None
    ) -> ReadableSpan:
        call = unpack(record.body, Call)
        activity_id = call.options.id or str(record.ref)
        attributes = {
            "saros.workflow_id": run.id,
            "saros.run_id": run.run_id,
            "saros.entry": call.target,
            "saros.activity_id": activity_id,
        }
        return ReadableSpan(
            f"StartActivity:{call.target}",
            self._contexts.of("" if run.continued_from else run.trace, run.run_id, activity_id),
            parent,
            self._resource,
            attributes,
            kind=SpanKind.CLIENT,
            status=_status("", error),
            start_time=record.time,
            end_time=max(end, record.time),
            instrumentation_scope=SCOPE,
        )


def _status(status: str, error: ErrorData | None) -> Status:
    if error is not None:
        return Status(StatusCode.ERROR, f"{error.kind}: {error.message}")
    if status in ("", RUNNING, COMPLETED, CONTINUED):
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, status)


def _event(record: Record) -> Event | None:
    """Return the span event for a record of a history, or None if it has none."""
    if record.op == TIMER:
        seconds = unpack(record.body, StartTimer).ns / 1e9
        return Event("TimerStarted", {"saros.seconds": seconds}, record.time)
    if record.op == MESSAGE:
        return Event("Signal", {"saros.topic": unpack(record.body, Message).topic}, record.time)
    if record.op == UPDATE:
        return Event("Update", {"saros.update": unpack(record.body, HandlerCall).name}, record.time)
    if record.op == SPAWN:
        return Event("StartChild", {"saros.entry": unpack(record.body, Spawn).entry}, record.time)
    return None
