"""Actions on all running executions that a query selects, after a count, a sample and a typed confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from saros.insight.query import selecting
from saros.model.errors import CONFLICT, INVALID, Error
from saros.model.execution import RUNNING, Description

from ..guard import Refused, note
from ..notices import failure
from ..parts.go import Go
from ..view import link

if TYPE_CHECKING:
    from ..desk import Desk

MOST: Final = 1_000
"""How many executions one action may change."""
SAMPLE: Final = 10
ACTIONS: Final = ("cancel", "terminate", "release")


async def _shown(console: Desk, request: Request, query: str, status: int = 200, **more: Any) -> Response:
    values = {"problem": None, "action": "cancel", "count": 0, "sample": [], **more}
    try:
        selected = selecting(query, RUNNING)
        values["sample"] = (await console.app.backend.page(selected, SAMPLE)).items
        values["count"] = await console.app.backend.count(selected)
    except Error as error:
        if error.kind != INVALID:
            raise
        status, values["problem"] = 400, failure(error)
    return console.render(request, "bulk.html", status, query=query, most=MOST, **values)


async def form(console: Desk, request: Request) -> Response:
    if console.guard.read_only:
        raise Refused(403, "this console is read-only", "start it without --read-only to act")
    return await _shown(console, request, request.query_params.get("q", ""))


async def _selected(console: Desk, query: str) -> list[Description]:
    found: list[Description] = []
    cursor = ""
    while len(found) <= MOST:
        page = await console.app.backend.page(selecting(query, RUNNING), 200, cursor)
        found += page.items
        cursor = page.cursor
        if not cursor:
            break
    return found


async def _carry_out(console: Desk, request: Request, go: Go) -> None:
    for run in go.runs:
        if go.stopped:
            break
        handle = console.app.get(run.id, run.run_id)
        problem = ""
        try:
            if go.action == "release":
                await handle.release()
            elif go.action == "cancel":
                await handle.cancel(go.reason)
            else:
                await handle.terminate(go.reason)
        except Error as error:
            problem = str(error)
        go.results.append((run.id, problem))
        note(request, f"{go.action} {run.id}", problem or "done")


async def carry_out(console: Desk, request: Request) -> Response:
    """Begin the action, and redirect to the page with its progress."""
    fields = await console.guard.form(request)
    query, action = fields.get("q", ""), fields.get("action", "")
    if action not in ACTIONS:
        raise Refused(400, "there is no such action")
    try:
        runs = await _selected(console, query)
        if len(runs) > MOST:
            raise Error(f"more than {MOST:,} executions are selected", INVALID, hint="narrow the query down")
        if fields.get("confirm", "").strip() != f"{action} {len(runs)}":
            raise Error(
                f"the confirmation is not “{action} {len(runs)}”: nothing was done",
                CONFLICT,
                hint="the number may have changed; look at it again",
            )
    except Error as error:
        return await _shown(console, request, query, 400, problem=failure(error), action=action)
    go = Go(action, fields.get("reason", ""), runs)
    note(request, f"{action} {len(runs)} of {query or 'all'}", "begun")
    key = console.goes.keep(go)
    console.jobs.start(_carry_out(console, request, go), "an action on many")
    return RedirectResponse(link("/bulk/progress", key=key), 303)


def _go(console: Desk, request: Request, key: str) -> Go:
    go = console.goes.get(key)
    if go is None:
        raise Refused(404, "this action on many is not known", "the console may have been started anew since")
    return go


def progress_of(console: Desk, request: Request) -> dict[str, Any]:
    """Return what the page of an action shows."""
    key = request.query_params.get("key", "")
    return {"go": _go(console, request, key), "key": key}


async def progress(console: Desk, request: Request) -> Response:
    return console.render(request, "progress.html", **progress_of(console, request))


async def stop(console: Desk, request: Request) -> Response:
    fields = await console.guard.form(request)
    key = fields.get("key", "")
    go = _go(console, request, key)
    if not go.done:
        go.stopped = True
        note(request, f"{go.action} on many", f"stopped after {len(go.results)}")
    return RedirectResponse(link("/bulk/progress", key=key), 303)
