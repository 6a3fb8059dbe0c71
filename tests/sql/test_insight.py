"""What people can see: the number of runs, and the state of lost workers' activities."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.interfaces.insight import counted
from saros_testing import eventually, lua_app

QUERIES = [
    "",
    "status = 'running'",
    "status != 'running'",
    "status in ('running', 'completed')",
    "status <= 'completed'",
    "status < 'completed'",
    "id starts with 'n'",
    "id starts with 'n' and not status = 'running'",
    "close_time is null",
    "close_time is not null",
    "shop = 'north'",
    "type = 'app:nap' or type = 'app:steps'",
    "start_time > '2020-01-01T00:00:00Z'",
    "id = '2020-01-01T00:00:00Z'",
]


def test_counts_are_those_of_the_list(run: Any, app_path: Path, url: str) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            for number in range(4):
                options = {"search_attributes": {"shop": "north" if number % 2 else "south"}}
                await app.start("app:nap", "1h", id=f"n{number}", options=options)
            await app.get("n0").terminate()
            await (await app.start("app:steps", 2, id="2020-01-01T01:00:00+01:00")).result(60)
            for query in QUERIES:
                assert await app.counts(query) == await counted(app.list(query)), query
            assert await app.counts() == {"running": 3, "terminated": 1, "completed": 1}

    run(main())


WAITS = """
local workflow = require("workflow")
local ticks = 0
workflow.on_query("ticks", function() return ticks end)
coroutine.spawn(function()
  local tick = process.listen("tick")
  while true do tick:receive() ticks = ticks + 1 end
end)
return funcs.call("app:stall")
"""
STALL = """
import asyncio
import pathlib

async def stall():
    while not pathlib.Path({flag!r}).exists():
        await asyncio.sleep(0.05)
    return "done"
"""


@pytest.fixture
def app_path(app_path: Path, tmp_path: Path) -> Path:
    return lua_app(
        tmp_path / "stalls",
        workflows={"waits": WAITS, "nap": "time.sleep(input)", "steps": "return 1"},
        python={"stall": "stalls:stall"},
        files={"stalls.py": STALL.format(flag=str(tmp_path / "flag"))},
    )


def test_an_activity_that_costs_its_workers_is_set_aside_until_it_is_released(
    run: Any, worker: Callable[..., Any], app_path: Path, file: Path, tmp_path: Path
) -> None:
    """Meanwhile the run is shown as parked, even while its other work goes on."""

    async def main() -> None:
        lossy = f"sqlite:///{file}?lease=1s&attempts=1"
        first = worker(at=lossy).ready()
        async with saros.open(app_path, backend=lossy, workers=False) as app:
            begun = time.time_ns()
            order = await app.start("app:waits", id="waits")

            async def runs() -> bool:
                found = (await order.pending()).activities
                return bool(found) and found[0].started is not None

            await eventually(runs, "the activity runs", 60)
            (lost,) = await app.workers()
            assert (await order.pending()).activities[0].worker == lost.identity
            first.end()
            second = worker(at=lossy).ready()

            async def parked() -> bool:
                return (await order.pending()).parked is not None

            await eventually(parked, "it is set aside", 60)
            assert lost.id not in [each.id for each in await app.workers()]
            await order.signal("tick", 1)

            async def ticked() -> bool:
                return await order.query("ticks") == 1

            await eventually(ticked, "the run goes on", 60)
            found = await order.pending()
            assert found.parked is not None
            assert "activity" in found.parked.problem
            assert found.parked.since is not None
            assert begun <= found.parked.since <= time.time_ns()
            assert (found.parked.next_try, found.activities[0].started) == (None, None)
            (tmp_path / "flag").touch()
            await order.release()
            assert await order.result(60) == "done"
            second.end(signal.SIGTERM)

    run(main())
