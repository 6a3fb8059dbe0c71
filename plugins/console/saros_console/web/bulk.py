"""Actions on all running executions that a query selects: first the count and a sample, then a typed confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from saros.model.errors import CONFLICT, INVALID, Error
from saros.model.execution import RUNNING, Description
from saros.model.query import selecting

from .guard import Refused, note
from .notices import failure

if TYPE_CHECKING:
    from .desk import Desk

MOST: Final = 1_000
"""Executions that one go may act on."""
SAMPLE: Final = 10
ACTIONS: Final = ("cancel", "terminate", "release")


async def _shown(console: Desk, request: Request, query: str, status: int = 200, **more: Any) -> Response:
    selected = selecting(query, RUNNING)
    values = {"problem": None, "results": None, "action": "cancel", **more}
    page = await console.app.backend.page(selected, SAMPLE)
    count = await console.app.backend.count(selected)
    return console.render(
        request, "bulk.html", status, query=query, count=count, sample=page.items, most=MOST, **values
    )


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


async def carry_out(console: Desk, request: Request) -> Response:
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
    results: list[tuple[str, str]] = []
    for run in runs:
        handle = console.app.get(run.id, run.run_id)
        try:
            if action == "release":
                await handle.release()
            elif action == "cancel":
                await handle.cancel(fields.get("reason", ""))
            else:
                await handle.terminate(fields.get("reason", ""))
            results.append((run.id, ""))
        except Error as error:
            results.append((run.id, str(error)))
        note(request, f"{action} {run.id}", results[-1][1] or "done")
    return await _shown(console, request, query, results=results, action=action)
