"""Spans of past executions, made from their histories."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanKind, Status

from saros.insight.open_commands import child_id
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
    HandlerCall,
    Message,
    Outcome,
    Spawn,
    StartTimer,
    unpack,
)

from .carriers import Contexts, activity_span_id_of, is_linked, parent_of, read, span_id_of
from .traces.ended import OK, Ended, failed

MOST: Final = 1000
"""The most activities, links and events of a run that are written; beyond that, `saros.truncated` is set."""
RUNS: Final = 100
"""The most descendants of a run whose spans are found with it."""


class Histories:
    """Makes spans from the histories of a backend's runs."""

    def __init__(self, backend: Backend, contexts: Contexts) -> None:
        self._backend = backend
        self._contexts = contexts

    async def spans(
        self, id: str, run_id: str = "", *, unsampled: bool = False, ended: bool = False
    ) -> list[Ended]:
        """Return the span of a run, followed by the spans of its activities; nothing for a run that is not sampled.

        :param unsampled: return its spans nevertheless.
        :param ended: return nothing for a run that still runs.
        :raises Error: NOT_FOUND.
        """
        page = await self._backend.history(id, run_id)
        if ended and page.status == RUNNING:
            return []
        return await self._spans(page, unsampled)

    async def tree(self, id: str, run_id: str = "", *, unsampled: bool = False) -> list[Ended]:
        """Return the spans of a run, followed by those of its children in the same trace, and so on.

        :raises Error: NOT_FOUND.
        """
        page = await self._backend.history(id, run_id)
        found = await self._spans(page, unsampled)
        waiting = deque(_children(page))
        left = RUNS
        while waiting and found and left:
            left -= 1
            try:
                page = await self._backend.history(waiting.popleft())
            except Error as error:
                if error.kind != NOT_FOUND:
                    raise
                continue  # a process, which has no history, or a run that is gone
            if self._contexts.trace_of(page.run)[0] == found[0].trace_id:
                found += await self._spans(page, unsampled)
                waiting += _children(page)
        return found

    async def _spans(self, page: HistoryPage, unsampled: bool) -> list[Ended]:
        trace_id, sampled = self._contexts.trace_of(page.run)
        return _of_page(page, trace_id, await self._links(page)) if sampled or unsampled else []

    async def _links(self, page: HistoryPage) -> list[Link]:
        links: list[Link] = []
        run = page.run
        if run.continued_from:
            attributes = {"saros.link": "continued_from", "saros.run_id": run.continued_from}
            links += await self._link(run.id, run.continued_from, attributes)
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


def _children(page: HistoryPage) -> list[str]:
    """Return the ids of the workflows that a run has started."""
    started = [record for record in page.records if record.op == SPAWN]
    return [child_id(page.run.run_id, record.ref, unpack(record.body, Spawn)) for record in started]


def _of_page(page: HistoryPage, trace_id: int, links: list[Link]) -> list[Ended]:
    run, records = page.run, page.records
    end = max(run.start_time, records[-1].time) if records else run.start_time
    events, activities = _parts(page, trace_id, end)
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
    own = Ended(
        trace_id,
        span_id_of(run.run_id),
        parent_of(run),
        f"RunWorkflow:{run.type}",
        SpanKind.SERVER,
        run.start_time,
        attributes,
        None if page.status == RUNNING else end,
        _status(page.status, error),
        events,
        links,
    )
    return [own, *activities]


def _parts(page: HistoryPage, trace_id: int, end: int) -> tuple[list[Event], list[Ended]]:
    """Return the events of a run's span and the spans of its activities."""
    events: list[Event] = []
    spans: list[Ended] = []
    calls: dict[int, Record] = {}
    for record in page.records:
        op = record.op
        if op == CALL:
            calls[record.ref] = record
        elif op == DONE:
            if record.ref in calls and len(spans) < MOST:
                call = calls.pop(record.ref)
                spans.append(_activity(page.run, trace_id, call, record.time, _error_of(record)))
        elif op in _EVENTS and len(events) < MOST:
            events.append(_EVENTS[op](record))
    if page.status != RUNNING:
        for call in list(calls.values())[: MOST - len(spans)]:
            spans.append(_activity(page.run, trace_id, call, end, None))
    return events, spans


def _activity(run: Run, trace_id: int, record: Record, end: int, error: ErrorData | None) -> Ended:
    call = msgspec.json.decode(record.body, type=_Called)
    activity_id = call.options.id or str(record.ref)
    return Ended(
        trace_id,
        activity_span_id_of(run.run_id, activity_id),
        span_id_of(run.run_id),
        f"StartActivity:{call.target}",
        SpanKind.CLIENT,
        record.time,
        {
            "saros.workflow_id": run.id,
            "saros.run_id": run.run_id,
            "saros.entry": call.target,
            "saros.activity_id": activity_id,
        },
        max(end, record.time),
        OK if error is None else _status("", error),
    )


class _CalledOptions(msgspec.Struct, frozen=True):
    id: str = ""


class _Called(msgspec.Struct, frozen=True):
    """What a span tells of a `Call`."""

    target: str
    options: _CalledOptions = _CalledOptions()


def _error_of(record: Record) -> ErrorData | None:
    body = bytes(record.body)
    if body.startswith(b'{"ok"') or body == b"{}":
        return None
    return msgspec.json.decode(body, type=Outcome).err


def _status(status: str, error: ErrorData | None) -> Status:
    if error is not None:
        return failed(f"{error.kind}: {error.message}")
    if status in ("", RUNNING, COMPLETED, CONTINUED):
        return OK
    return failed(status)


_EVENTS: Final[dict[str, Callable[[Record], Event]]] = {
    TIMER: lambda record: Event(
        "TimerStarted", {"saros.seconds": unpack(record.body, StartTimer).ns / 1e9}, record.time
    ),
    MESSAGE: lambda record: Event("Signal", {"saros.topic": unpack(record.body, Message).topic}, record.time),
    UPDATE: lambda record: Event(
        "Update", {"saros.update": unpack(record.body, HandlerCall).name}, record.time
    ),
    SPAWN: lambda record: Event("StartChild", {"saros.entry": unpack(record.body, Spawn).entry}, record.time),
}
"""The span events for records of a history; others have none."""
