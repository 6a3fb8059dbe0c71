"""Lists in pages: every run once and in order, even if runs start or disappear between two pages."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import AsyncIterator

import pytest

from saros.insight.pages import page_of
from saros.model.errors import INVALID, Error
from saros.model.execution import Description

pytestmark = pytest.mark.anyio
US = 1_000


class Runs:
    """A list of runs, as a store would return it. It notes the queries that it receives."""

    def __init__(self, *starts: int) -> None:
        self.runs: list[Description] = []
        self.queries: list[str] = []
        for start in starts:
            self.add(start)

    def add(self, start: int) -> None:
        number = len(self.runs)
        self.runs.append(
            Description(
                id=f"w-{number}",
                run_id=f"r-{number}",
                type="app:w",
                pid="",
                entry="app:w",
                status="running",
                task_queue="q",
                start_time=start,
            )
        )

    async def __call__(self, query: str) -> AsyncIterator[Description]:
        self.queries.append(query)
        found = re.search(r"start_time <= '([^']+)'", query)
        until = dt.datetime.fromisoformat(found[1]).timestamp() if found else float("inf")
        for run in sorted(self.runs, key=lambda run: (-run.start_time, run.run_id)):
            if run.start_time / 1e9 <= until:
                yield run


async def _ids(runs: Runs, limit: int, query: str = "") -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = await page_of(runs, query, limit, cursor)
        assert len(page.items) <= limit
        found += [run.run_id for run in page.items]
        cursor = page.cursor
        if not cursor:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "starts", [(), (5000,), (1000, 2000, 3000), (1000,) * 7, (1000, 2000, 2000, 2000, 2001, 2999, 3000)]
)
async def test_pages_give_every_run_once(starts: tuple[int, ...], limit: int) -> None:
    runs = Runs(*starts)
    expected = [run.run_id async for run in runs("")]
    assert await _ids(runs, limit) == expected


async def test_a_run_that_starts_between_two_pages_is_not_on_the_next() -> None:
    runs = Runs(1 * US, 2 * US, 3 * US)
    first = await page_of(runs, "", 2, "")
    runs.add(4 * US)
    second = await page_of(runs, "", 2, first.cursor)
    assert [run.run_id for run in (*first.items, *second.items)] == ["r-2", "r-1", "r-0"]


async def test_a_run_that_disappears_between_two_pages_hides_no_other() -> None:
    runs = Runs(1 * US, 2 * US, 3 * US)
    first = await page_of(runs, "", 2, "")
    runs.runs = [run for run in runs.runs if run.run_id != "r-1"]
    second = await page_of(runs, "", 2, first.cursor)
    assert [run.run_id for run in second.items] == ["r-0"]


async def test_a_cursor_is_a_place_in_time_for_any_query() -> None:
    runs = Runs(1 * US, 2 * US, 3 * US)
    first = await page_of(runs, "status = 'running' or status = 'failed'", 2, "")
    second = await page_of(runs, "status = 'failed' or type = 'app:w'", 2, first.cursor)
    assert [run.run_id for run in second.items] == ["r-0"]
    assert runs.queries[-1].startswith("(status = 'failed' or type = 'app:w') and (start_time <= '")


def _forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["x", "!", "\u00e9", "\x1b[31m", "bm8", *map(_forged, ("[]", '["1",[]]', "[1]", "{}", "[1e400,[]]"))]
    + [_forged(f"[{time},[]]") for time in (10**18, -(10**18), 10**30)],
)
async def test_a_bad_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Error) as caught:
        await page_of(Runs(1), "", 2, cursor)
    assert caught.value.kind == INVALID


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_has_at_least_one_run(limit: int) -> None:
    with pytest.raises(Error) as caught:
        await page_of(Runs(1), "", limit, "")
    assert caught.value.kind == INVALID
