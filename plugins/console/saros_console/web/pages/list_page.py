"""The page of executions: query, tabs by status, a table in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from saros.insight.parked import activities_of, has_index, pending_of, troubled_page
from saros.insight.query import FIELDS, selecting
from saros.insight.reasons import waits_in_short
from saros.interfaces.insight import PARKED, RETRYING, Page
from saros.interfaces.insight.pending import Pending
from saros.model.background import each
from saros.model.errors import INVALID, Error
from saros.model.execution import STATUSES, Description

from ..desk import SHOWN
from ..guard import Refused
from ..notices import failure
from ..parts import columns
from ..view import link

if TYPE_CHECKING:
    from ..desk import Desk

LOOKED_AT: Final = 200
"""The newest running executions, among which a backend without an index finds those that are parked or retrying."""
AT_ONCE: Final = 20
LISTED_S: Final = 10.0
FRESH_S: Final = 0.4
"""How long an update of the list waits for what others have asked for, and how old that may be."""
COUNT_S: Final = 0.1
"""How long a page waits for the numbers of its tabs, which a later update shows otherwise."""


class View:
    """The view that a URL asks for."""

    def __init__(self, request: Request) -> None:
        given = request.query_params
        self.query, self.status, self.cursor = (
            given.get("q", ""),
            given.get("status", ""),
            given.get("cursor", ""),
        )
        if self.status not in ("", PARKED, RETRYING, *STATUSES):
            raise Refused(400, "there is no such status", f"it is one of {', '.join(STATUSES)}")
        self.chosen = columns.chosen(given.getlist("col"))

    @property
    def special(self) -> bool:
        """Whether pending work decides which runs belong to it."""
        return self.status in (PARKED, RETRYING)

    @property
    def given_columns(self) -> tuple[str, ...]:
        """The columns, unless they are the default ones."""
        return () if self.chosen == columns.USUAL else self.chosen

    def link(self, path: str = "/", **changes: str) -> str:
        """Return the URL of this view with some changes, on its first page."""
        return link(path, **{"q": self.query, "status": self.status, "col": self.given_columns, **changes})


async def _waits(console: Desk, run: Description, trouble: str) -> str:
    """Return why a run is in trouble, in short; empty if it has gone in the meantime."""
    now, backend = console.app.clock.now(), console.app.backend
    if trouble == RETRYING:
        activities = await activities_of(backend, run)
        return waits_in_short(Pending(run.id, run.run_id, run.status, run.task_queue, activities), now)
    pending = await pending_of(backend, run)
    return "" if pending is None else waits_in_short(pending, now)


async def _special(console: Desk, view: View) -> tuple[Page, dict[str, str]]:
    """Return the runs that are parked or retrying, and what each waits for."""
    given = view.status, view.query, SHOWN, view.cursor
    page = await troubled_page(console.app.backend, *given, most=LOOKED_AT)
    told = await each(lambda run: _waits(console, run, view.status), page.items, AT_ONCE)
    return page, {run.run_id: waits for run, waits in zip(page.items, told, strict=True)}


async def _counts(console: Desk, query: str) -> dict[str, int] | None:
    """Return the numbers of the tabs; None until they are known, because the list is useful without them."""
    try:
        return await console.counts.get(query, COUNT_S)
    except Error as error:
        if error.kind == INVALID:
            raise
        return None


async def contents(console: Desk, view: View, live: bool = False) -> dict[str, Any]:
    """Return what the live part of the page shows.

    :param live: whether a result from a moment ago will do.

    :raises Error: INVALID for a bad query or cursor.
    """
    waits: dict[str, str] = {}
    if view.special:
        page, waits = await _special(console, view)
    else:
        query = selecting(view.query, view.status)
        found = await console.listed.get((query, view.cursor), LISTED_S, FRESH_S) if live else None
        page = found or await console.app.backend.page(query, SHOWN, view.cursor)
    counts = await _counts(console, view.query)
    tabs = [("", "all", None if counts is None else sum(counts.values()))]
    tabs += [(status, status, None if counts is None else counts.get(status, 0)) for status in STATUSES]
    return {
        "page": page,
        "tabs": tabs,
        "view": view,
        "waits": waits,
        "looked_at": LOOKED_AT if view.special and not has_index(console.app.backend) else None,
        "titles": columns.TITLES,
        "numbers": columns.NUMBERS,
    }


def completions(page: Page | None) -> list[str]:
    """Return the names with which a condition of a query may begin."""
    attributes = {name for run in page.items for name in run.search_attributes} if page is not None else set()
    return sorted({*FIELDS.values(), *attributes})


async def page(console: Desk, request: Request) -> Response:
    view = View(request)
    found: dict[str, Any]
    try:
        found = await contents(console, view)
    except Error as error:
        if error.kind != INVALID:
            raise
        return console.render(
            request,
            "runs.html",
            400,
            view=view,
            problem=failure(error),
            fields=completions(None),
            page=None,
            offered=[],
            titles=columns.TITLES,
        )
    shown = found["page"]
    offered = columns.offered(shown.items, view.chosen)
    return console.render(
        request, "runs.html", problem=None, fields=completions(shown), offered=offered, **found
    )
