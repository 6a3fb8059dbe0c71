"""Lists of runs in trouble: those that are parked, and those with an activity that is tried again.

A backend may have an index of them (`saros.interfaces.insight.Finder`). If not, each run is looked at, newest first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from functools import partial
from typing import Final, TypeVar

from ..interfaces.backend import Backend
from ..interfaces.insight import PARKED, Finder, Page
from ..interfaces.insight.pending import Pending, PendingActivity
from ..model.background import each
from ..model.errors import NOT_FOUND, Error
from ..model.execution import RUNNING, Description
from .pages import page_of
from .query import selecting

T = TypeVar("T")

SOME: Final = 50
"""Runs that are looked at before the list is read on."""
AT_ONCE: Final = 16
"""Runs that the backend is asked about concurrently."""


async def with_problems(backend: Backend, runs: Sequence[Description]) -> list[Description]:
    """Return the runs with their problems, if they have any: not every backend tells them in a list."""

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


async def pending_of(backend: Backend, run: Description) -> Pending | None:
    """Return what is pending in a run; None if it has gone meanwhile."""
    return await _unless_gone(backend.pending(run.id, run.run_id))


async def activities_of(backend: Backend, run: Description) -> list[PendingActivity]:
    """Return the pending activities of a run; none if it has gone meanwhile."""
    return await _unless_gone(backend.activities(run.id, run.run_id)) or []


async def _unless_gone(asked: Awaitable[T]) -> T | None:
    try:
        return await asked
    except Error as error:
        if error.kind == NOT_FOUND:
            return None
        raise


def has_index(backend: Backend) -> bool:
    """Return whether a backend finds runs in trouble without a look at each run."""
    return isinstance(backend, Finder) and backend.troubled(PARKED) is not None


def troubled(
    backend: Backend, trouble: str, query: str = "", *, most: int | None = None
) -> AsyncIterator[Description]:
    """Return the running runs that a query selects and that are in trouble, newest first.

    :param trouble: `PARKED` or `RETRYING`.
    :param most: how many runs are looked at, if the backend has no index; default: all.
    :raises Error: INVALID for a bad query.
    """
    found = backend.troubled(trouble, query) if isinstance(backend, Finder) else None
    return _looked_for(backend, trouble, query, most) if found is None else found


async def _looked_for(
    backend: Backend, trouble: str, query: str, most: int | None
) -> AsyncIterator[Description]:
    look = _parked if trouble == PARKED else _retrying
    batch: list[Description] = []
    number = 0
    async for run in backend.executions(selecting(query, RUNNING)):
        batch.append(run)
        number += 1
        if len(batch) == SOME or number == most:
            for found in await look(backend, batch):
                yield found
            batch = []
        if number == most:
            return
    for found in await look(backend, batch):
        yield found


async def _parked(backend: Backend, runs: Sequence[Description]) -> list[Description]:
    return [run for run in await with_problems(backend, runs) if run.problem]


async def _retrying(backend: Backend, runs: Sequence[Description]) -> list[Description]:
    told = await each(lambda run: activities_of(backend, run), runs, AT_ONCE)
    return [
        run
        for run, activities in zip(runs, told, strict=True)
        if any(activity.attempt > 1 for activity in activities)
    ]


async def troubled_page(
    backend: Backend, trouble: str, query: str, limit: int, cursor: str = "", *, most: int | None = None
) -> Page:
    """Return a page of `troubled`; see `Insight.page`."""
    return await page_of(partial(troubled, backend, trouble, most=most), query, limit, cursor)
