"""Lists in pages: a cursor says where the next one goes on, whatever has come or gone meanwhile."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator, Callable

import msgspec

from ..interfaces.insight import Page
from ..model.errors import INVALID, Error
from ..model.execution import Description
from ..model.query import both

US = 1_000


class _Place(msgspec.Struct, array_like=True):
    """The start of the last run that was given, in microseconds, and the runs of that time that were."""

    time: int
    runs: list[str]


async def page_of(
    executions: Callable[[str], AsyncIterator[Description]], query: str, limit: int, cursor: str
) -> Page:
    """A page of what a backend lists, newest first.

    :raises Error: INVALID for a bad query or cursor.
    """
    if limit < 1:
        raise Error("a page holds at least one run: the limit must be 1 or more", INVALID, retryable=False)
    place = _read(cursor) if cursor else None
    if place is not None:
        # Up to the end of that microsecond: servers keep starts more, or less, precisely.
        query = both(query, f"start_time <= '{_moment(place.time + 1).isoformat()}'")
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


def _moment(us: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=us)


def _read(cursor: str) -> _Place:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = msgspec.json.decode(text, type=_Place)
        _moment(place.time + 1)  # only a forged one is of a time that no calendar has
        return place
    except (ValueError, OverflowError, msgspec.MsgspecError):
        raise Error(
            "this is not a valid cursor; use the one from the previous page", INVALID, retryable=False
        ) from None
