"""The page of executions: query, tabs by status, table, pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from saros.insight.reasons import waits_in_short
from saros.interfaces.insight import Page
from saros.model.errors import INVALID, NOT_FOUND, Error
from saros.model.execution import RUNNING, STATUSES, Description
from saros.model.query import FIELDS, selecting

from .guard import Refused
from .notices import failure

if TYPE_CHECKING:
    from .desk import Desk

SHOWN: Final = 50
PARKED: Final = "parked"
RETRYING: Final = "retrying"
LOOKED_AT: Final = 200
"""The newest running executions, among which those that are parked or retrying are looked for."""


class View:
    """What the URL asks for."""

    def __init__(self, request: Request) -> None:
        given = request.query_params
        self.query, self.status, self.cursor = (
            given.get("q", ""),
            given.get("status", ""),
            given.get("cursor", ""),
        )
        if self.status not in ("", PARKED, RETRYING, *STATUSES):
            raise Refused(400, "there is no such status", f"it is one of {', '.join(STATUSES)}")


async def _special(console: Desk, view: View) -> Page:
    backend = console.app.backend
    found: list[Description] = []
    for run in (await backend.page(selecting(view.query, RUNNING), LOOKED_AT)).items:
        try:
            pending = await backend.pending(run.id, run.run_id)
        except Error as error:
            if error.kind == NOT_FOUND:  # it has gone meanwhile
                continue
            raise
        if pending.parked is not None:
            run.problem = run.problem or pending.parked.problem
        retrying = any(each.attempt > 1 for each in pending.activities)
        if run.problem if view.status == PARKED else retrying:
            found.append(run)
    return Page(found)


async def contents(console: Desk, view: View) -> dict[str, Any]:
    """What the live part of the page shows.

    :raises Error: INVALID for a bad query or cursor.
    """
    backend = console.app.backend
    if view.status in (PARKED, RETRYING):
        page = await _special(console, view)
    else:
        page = await backend.page(selecting(view.query, view.status), SHOWN, view.cursor)
    waits: dict[str, str] = {}
    if view.status in (PARKED, RETRYING):
        for run in page.items:
            try:
                waits[run.run_id] = waits_in_short(
                    await backend.pending(run.id, run.run_id), console.app.clock.now()
                )
            except Error as error:
                if error.kind != NOT_FOUND:
                    raise
    counts = await backend.counts(view.query)
    tabs = [("", "all", sum(counts.values()))]
    tabs += [(each, each, counts.get(each, 0)) for each in STATUSES]
    return {
        "page": page,
        "tabs": tabs,
        "view": view,
        "waits": waits,
        "special": view.status in (PARKED, RETRYING),
    }


async def page(console: Desk, request: Request) -> Response:
    view = View(request)
    fields = sorted(set(FIELDS.values()))
    try:
        found: dict[str, Any] = await contents(console, view)
    except Error as error:
        if error.kind != INVALID:
            raise
        return console.render(
            request, "runs.html", 400, view=view, problem=failure(error), fields=fields, page=None
        )
    return console.render(request, "runs.html", problem=None, fields=fields, **found)
