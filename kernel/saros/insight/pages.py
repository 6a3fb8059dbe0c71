"""Lists in pages. A cursor says where the next page begins, even if runs have been added or deleted meanwhile."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable

import msgspec

from ..interfaces.insight import Page
from ..model.errors import INVALID, Error
from ..model.execution import Description
from ..model.timing import datetime_of
from .query import both

US = 1_000


class _Place(msgspec.Struct, array_like=True):
    """The start time of the last run on a page, in microseconds, and the listed runs with the same start time."""

    time: int
    runs: list[str]


async def page_of(
    executions: Callable[[str], AsyncIterator[Description]], query: str, limit: int, cursor: str
) -> Page:
    """Return a page of a backend's runs, newest first.

    :raises Error: INVALID for a bad query or cursor.
    """
    if limit < 1:
        raise Error("a page holds at least one run: the limit must be 1 or more", INVALID, retryable=False)
    place = _read(cursor) if cursor else None
    if place is not None:
        # Include that whole microsecond, because servers store start times with different precision.
        query = both(query, f"start_time <= '{datetime_of((place.time + 1) * US).isoformat()}'")
    items: list[Description] = []
    async for found in executions(query):
        if place is not None and _given(found, place):
            continue
        if len(items) == limit:
            return Page(items, _next(items, place))
        items.append(found)
    return Page(items)


def _given(run: Description, place: _Place) -> bool:
    time = run.start_time // US
    return time > place.time or (time == place.time and run.run_id in place.runs)


def _next(items: list[Description], before: _Place | None) -> str:
    time = items[-1].start_time // US
    runs = [item.run_id for item in items if item.start_time // US == time]
    if before is not None and before.time == time:
        runs += before.runs
    return base64.urlsafe_b64encode(msgspec.json.encode(_Place(time, runs))).decode().rstrip("=")


def _read(cursor: str) -> _Place:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = msgspec.json.decode(text, type=_Place)
        datetime_of((place.time + 1) * US)  # fails only for a forged cursor with an impossible time
        return place
    except (ValueError, OverflowError, msgspec.MsgspecError):
        raise Error(
            "this is not a valid cursor; use the one from the previous page", INVALID, retryable=False
        ) from None
