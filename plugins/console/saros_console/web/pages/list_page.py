"""The page of executions: query, tabs by status, table, pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from saros.insight.reasons import waits_in_short
from saros.interfaces.insight import Page
from saros.interfaces.insight.pending import Pending
from saros.model.background import each
from saros.model.errors import INVALID, NOT_FOUND, Error
from saros.model.execution import RUNNING, STATUSES, Description
from saros.model.query import FIELDS, selecting

from ..desk import SHOWN
from ..guard import Refused
from ..notices import failure
from ..parts import columns
from ..view import link

if TYPE_CHECKING:
    from ..desk import Desk

PARKED: Final = "parked"
RETRYING: Final = "retrying"
LOOKED_AT: Final = 200
"""The newest running executions, among which those that are parked or retrying are looked for."""
AT_ONCE: Final = 20
LISTED_S: Final = 10.0
FRESH_S: Final = 0.4
"""How long an update of the list waits for what others have asked for, and how old that may be."""
COUNT_S: Final = 0.1
"""How long a page waits for the numbers of its tabs, which a later update shows otherwise."""


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
        self.chosen = columns.chosen(given.getlist("col"))

    @property
    def special(self) -> bool:
        """Whether what is pending decides."""
        return self.status in (PARKED, RETRYING)

    @property
    def given_columns(self) -> tuple[str, ...]:
        """Those that the URL must name."""
        return () if self.chosen == columns.USUAL else self.chosen

    def link(self, path: str = "/", **changes: str) -> str:
        """The URL of this view with something else, on its first page."""
        return link(path, **{"q": self.query, "status": self.status, "col": self.given_columns, **changes})


async def _pending(console: Desk, run: Description) -> Pending | None:
    try:
        return await console.app.backend.pending(run.id, run.run_id)
    except Error as error:
        if error.kind == NOT_FOUND:  # it has gone meanwhile
            return None
        raise


async def _special(console: Desk, view: View) -> tuple[Page, dict[str, str]]:
    """The runs that are parked or retrying, and what each waits for."""
    found: list[Description] = []
    waits: dict[str, str] = {}
    runs = (await console.app.backend.page(selecting(view.query, RUNNING), LOOKED_AT)).items
    now = console.app.clock.now()
    told = await each(lambda run: _pending(console, run), runs, AT_ONCE)
    for run, pending in zip(runs, told, strict=True):
        if pending is None:
            continue
        if pending.parked is not None:
            run.problem = run.problem or pending.parked.problem
        retrying = any(activity.attempt > 1 for activity in pending.activities)
        if run.problem if view.status == PARKED else retrying:
            found.append(run)
            waits[run.run_id] = waits_in_short(pending, now)
    return Page(found), waits


async def _counts(console: Desk, query: str) -> dict[str, int] | None:
    """The numbers of the tabs; None as long as they are not known, for the list is of use without them."""
    try:
        return await console.counts.get(query, COUNT_S)
    except Error as error:
        if error.kind == INVALID:
            raise
        return None


async def contents(console: Desk, view: View, live: bool = False) -> dict[str, Any]:
    """What the live part of the page shows.

    :param live: it may be what others have asked for a moment ago.

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
        "titles": columns.TITLES,
        "numbers": columns.NUMBERS,
    }


def completions(page: Page | None) -> list[str]:
    """Names that a query may begin a condition with."""
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
