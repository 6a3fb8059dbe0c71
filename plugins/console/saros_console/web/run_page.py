"""The page of one execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from saros.insight.reasons import reason
from saros.model.errors import Error
from saros.model.execution import CONTINUED, RUNNING, Pid
from saros.model.presentation import lines
from saros.model.values import error_data

from .chart import chart
from .guard import Refused

if TYPE_CHECKING:
    from .desk import Desk

EVENTS: Final = 100
"""Events on a page."""
CHARTED: Final = 2_000
"""The first events of a run, of which the timeline is made."""
CLOSING: Final = ("complete", "fail", "terminate", "time_out", "cancel")


def _which(request: Request) -> tuple[str, str, int]:
    given = request.query_params
    start = given.get("from", "0")
    if not given.get("id") or not start.isdigit() or len(start) > 9:
        raise Refused(400, "this address names no execution", "open one from the list")
    return given["id"], given.get("run", ""), int(start)


async def signature(console: Desk, request: Request) -> bytes:
    """What changes when there is something new to show."""
    id, run_id, _ = _which(request)
    backend = console.app.backend
    return msgspec.json.encode((await backend.describe(id, run_id), await backend.pending(id, run_id)))


async def contents(console: Desk, request: Request) -> dict[str, Any]:
    """What the live part of the page shows.

    :raises Error: NOT_FOUND.
    """
    id, run_id, start = _which(request)
    app = console.app
    run = await app.backend.describe(id, run_id)
    pending = await app.backend.pending(id, run.run_id)
    stack, no_stack = None, ""
    if run.status == RUNNING and pending.parked is None:
        try:
            stack = await app.backend.stack(id, run.run_id)
        except Error as error:  # this console has not the app, or not the right version
            no_stack = str(error)
    now = app.clock.now()
    queues = await app.queues() if run.status == RUNNING else []
    head = await app.backend.history(id, run.run_id, 0, limit=CHARTED)
    everything = lines(head.records)
    shown = everything[start : start + EVENTS]
    if start + EVENTS > len(everything) and len(everything) < run.history_length:
        further = await app.backend.history(id, run.run_id, start, limit=EVENTS)
        shown = lines(further.records, start)
    return {
        "run": run,
        "pending": pending,
        "why": reason(pending, now, queues, stack) if run.status == RUNNING else "",
        "stack": stack,
        "no_stack": no_stack,
        "input": head.run.args,
        "facts": head.run,
        "parent": Pid.parse(run.parent) if run.parent else None,
        "next_run": head.next_run_id,
        "end": await _end(console, id, run.run_id, run.status),
        "chart": chart(everything, now, run.close_time),
        "events": shown,
        "start": start,
        "more": start + EVENTS if start + EVENTS < run.history_length else 0,
        "before": max(0, start - EVENTS),
    }


async def _end(console: Desk, id: str, run_id: str, status: str) -> tuple[str, Any]:
    """What an execution has given: its result, or the error that it failed with."""
    if status in (RUNNING, CONTINUED):
        return "", None
    try:
        return "result", await console.app.get(id, run_id).result()
    except Error as error:
        return "error", error_data(error)


async def page(console: Desk, request: Request) -> Response:
    return console.render(request, "run.html", **await contents(console, request))


async def export(console: Desk, request: Request) -> Response:
    """The whole history, as `saros replay` reads it."""
    id, run_id, _ = _which(request)
    body = msgspec.json.encode(await console.app.backend.export(id, run_id))
    headers = {"content-disposition": 'attachment; filename="history.json"'}
    return Response(body, media_type="application/json", headers=headers)
