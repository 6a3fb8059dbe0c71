"""The page of one execution."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from saros.insight.reasons import activity_waits, reason
from saros.insight.traces import trace_of
from saros.interfaces.insight import Stack
from saros.interfaces.insight.pending import Pending
from saros.model.execution import RUNNING, Pid, Run
from saros.model.presentation import lines

from ..guard import Refused
from ..parts.chart import chart
from ..parts.ends import read_end
from ..parts.family import Tree
from ..parts.sources import with_sources

if TYPE_CHECKING:
    from ..desk import Desk

WAIT_S: Final = 0.3
"""How long a page waits for each: where its code waits, the task queues, the workers. A later update shows them."""
SEEN_S: Final = 10.0
"""Seconds that an update waits for the pending work."""
FRESH_S: Final = 0.4
"""Seconds that a result for another reader may be old."""
EVENTS: Final = 100
"""Events on a page."""
BEFORE: Final = 500
"""How many events before a page are read to find the commands whose ends it shows."""
CHARTED: Final = 2_000
"""How many of the first events make the timeline."""


_COMMAND: Final = re.compile(r"; see `saros [^`]*`$")
"""The end of a reason that is meant for the command line; pages have links instead."""


def _which(request: Request) -> tuple[str, str, int]:
    given = request.query_params
    start = given.get("from", "0")
    if not given.get("id") or not start.isdecimal() or len(start) > 9:
        raise Refused(400, "this address names no execution", "open one from the list")
    return given["id"], given.get("run", ""), int(start)


async def signature(console: Desk, request: Request) -> bytes:
    """Return bytes that change when there is something new to show."""
    id, run_id, _ = _which(request)
    seen = await console.seen.get((id, run_id), SEEN_S, FRESH_S)
    told = (await console.stacks.of(*seen, 0.0))[1:] if seen is not None else None
    return msgspec.json.encode((seen, told))


async def contents(console: Desk, request: Request) -> dict[str, Any]:
    """Return what the live part of the page shows.

    :raises Error: NOT_FOUND.
    """
    id, run_id, start = _which(request)
    app = console.app
    run = await app.backend.describe(id, run_id)
    pending = await app.backend.pending(id, run.run_id)
    stack, told_at, no_stack = await console.stacks.of(run, pending, WAIT_S)
    now, tree = app.clock.now(), Tree(console)
    why = await _why(console, pending, stack) if run.status == RUNNING else ""
    head = await app.backend.history(id, run.run_id, 0, limit=CHARTED)
    everything = lines(head.records)
    retried = {
        each.ref: (each.attempt, activity_waits(each, now)) for each in pending.activities if each.attempt > 1
    }
    shown = everything[start : start + EVENTS]
    if start + EVENTS > len(everything) and len(everything) < run.history_length:
        first = max(0, start - BEFORE)
        further = await app.backend.history(id, run.run_id, first, limit=start - first + EVENTS)
        shown = lines(further.records, first)[start - first :]
    return {
        "run": run,
        "pending": pending,
        "why": why,
        "stack": stack,
        "coroutines": with_sources(app.registry, stack) if stack is not None else [],
        "waits_for_retry": pending.parked is not None
        or any(each.next_attempt is not None for each in pending.activities),
        "no_stack": no_stack,
        "told_at": told_at,
        "input": head.run.args,
        "facts": head.run,
        "parent": Pid.parse(run.parent) if run.parent else None,
        "next_run": head.next_run_id,
        "end": await read_end(console, run),
        "trace": trace_link(console, head.run),
        "tree": await tree.of(run, everything),
        "tree_cut": tree.cut,
        "chart": chart(everything, now, run.close_time, retried),
        "events": shown,
        "start": start,
        "more": start + EVENTS if start + EVENTS < run.history_length else 0,
        "before": max(0, start - EVENTS),
    }


async def _why(console: Desk, pending: Pending, stack: Stack | None) -> str:
    """Return why a run does not continue, with the queues and workers as far as they are known in time."""
    queues = await console.queues.get("", WAIT_S)
    workers = await console.workers.get("", WAIT_S)
    return _COMMAND.sub("", reason(pending, console.app.clock.now(), queues or [], stack, workers))


def trace_link(console: Desk, run: Run) -> str:
    """Return the address of a run's trace; empty if none is configured."""
    return console.trace_url.replace("{trace}", trace_of(run)) if console.trace_url else ""


async def page(console: Desk, request: Request) -> Response:
    return console.render(request, "run.html", **await contents(console, request))


async def export(console: Desk, request: Request) -> Response:
    """Send the whole history as `saros replay` reads it."""
    id, run_id, _ = _which(request)
    body = msgspec.json.encode(await console.app.backend.export(id, run_id))
    headers = {"content-disposition": 'attachment; filename="history.json"'}
    return Response(body, media_type="application/json", headers=headers)
