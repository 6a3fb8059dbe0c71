"""The page of failures: failed executions, grouped by error, newest first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from saros.insight.query import selecting
from saros.model.background import each
from saros.model.errors import INVALID, Error
from saros.model.execution import FAILED, TERMINATED, TIMED_OUT, Description

from ..notices import failure
from ..parts.ends import End, read_end

if TYPE_CHECKING:
    from ..desk import Desk

LOOKED_AT: Final = 200
"""How many of the newest failures are grouped."""
AT_ONCE: Final = 20
SHOWN: Final = 5
"""How many executions of a group are named."""
_VARIES: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|0x[0-9a-f]+|\d+", re.IGNORECASE)
"""The parts in which messages of the same error differ: ids and numbers."""


class Group:
    """Failures of one type with the same error; `message` is that of the newest."""

    def __init__(self, run: Description, kind: str, message: str) -> None:
        self.type, self.kind, self.message = run.type, kind, message
        self.newest = self.oldest = run.close_time or run.start_time
        self.count = 0
        self.runs: list[Description] = []

    def add(self, run: Description) -> None:
        at = run.close_time or run.start_time
        self.newest, self.oldest = max(self.newest, at), min(self.oldest, at)
        self.count += 1
        if len(self.runs) < SHOWN:
            self.runs.append(run)


def grouped(ended: list[tuple[Description, End]]) -> list[Group]:
    """Group failures by type, kind of error and message, the newest group first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for run, end in ended:
        told = end.told if end.what == "error" else {}
        kind, message = told.get("kind", ""), told.get("message", "") or run.status
        shape = _VARIES.sub("#", message[:400])
        groups.setdefault((run.type, kind, shape), Group(run, kind, message)).add(run)
    return sorted(groups.values(), key=lambda group: group.newest, reverse=True)


async def _ended(console: Desk, query: str) -> list[tuple[Description, End]]:
    runs = [
        run
        for status in (FAILED, TIMED_OUT, TERMINATED)
        for run in (await console.app.backend.page(selecting(query, status), LOOKED_AT)).items
    ]
    runs.sort(key=lambda run: run.close_time or run.start_time, reverse=True)
    newest = runs[:LOOKED_AT]
    ends = await each(lambda run: read_end(console, run), newest, AT_ONCE)
    return list(zip(newest, ends, strict=True))


async def page(console: Desk, request: Request) -> Response:
    query = request.query_params.get("q", "")
    values: dict[str, Any] = {"query": query, "problem": None, "groups": [], "most": LOOKED_AT}
    try:
        values["groups"] = grouped(await _ended(console, query))
    except Error as error:
        if error.kind != INVALID:
            raise
        return console.render(request, "failures.html", 400, **{**values, "problem": failure(error)})
    return console.render(request, "failures.html", **values)
