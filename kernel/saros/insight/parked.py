"""Lists of parked runs. Not every backend tells in a list which runs are parked, so each run is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from ..interfaces.backend import Backend
from ..interfaces.insight import Page
from ..model.background import each
from ..model.errors import NOT_FOUND, Error
from ..model.execution import RUNNING, Description
from ..model.query import selecting
from .pages import read, written

SOME: Final = 100
"""Runs that are looked at before the list is read on."""
AT_ONCE: Final = 16
"""Runs that the backend is asked about concurrently."""


class _Place(msgspec.Struct, array_like=True):
    """The cursor of a page of running runs, and the last run of it that was listed."""

    cursor: str
    run_id: str


async def with_problems(backend: Backend, runs: Sequence[Description]) -> list[Description]:
    """Return the runs with their problems, if they have any."""

    async def told(run: Description) -> Description:
        if run.status != RUNNING or run.problem:
            return run
        try:
            return await backend.describe(run.id, run.run_id)
        except Error as error:
            if error.kind == NOT_FOUND:  # it has gone meanwhile
                return run
            raise

    return await each(told, runs, AT_ONCE)


async def parked(backend: Backend, query: str, cursor: str = "") -> AsyncIterator[tuple[Description, str]]:
    """Yield the parked runs that a query selects, newest first, each with the cursor of what follows it.

    :raises Error: INVALID for a bad query or cursor.
    """
    place = read(cursor, _Place) if cursor else _Place("", "")
    while True:
        page = await backend.page(selecting(query, RUNNING), SOME, place.cursor)
        ids = [run.run_id for run in page.items]
        start = ids.index(place.run_id) + 1 if place.run_id in ids else 0
        for run in await with_problems(backend, page.items[start:]):
            if run.problem:
                yield run, written(_Place(place.cursor, run.run_id))
        if not page.cursor:
            return
        place = _Place(page.cursor, "")


async def parked_page(backend: Backend, query: str, limit: int, cursor: str = "") -> Page:
    """Return a page of the parked runs that a query selects; see `Insight.page`."""
    found = Page([])
    following = ""
    async for run, after in parked(backend, query, cursor):
        if len(found.items) == limit:
            found.cursor = following
            break
        found.items.append(run)
        following = after
    return found
