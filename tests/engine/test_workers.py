"""The limits that a worker's options set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import saros
from saros.engine.workflow_worker import CACHE, cache_size
from saros.interfaces.store import Commit
from saros.model.errors import INVALID, UNAVAILABLE
from saros_memory.store import MemoryStore
from saros_testing import eventually, lua_app

Runner = Callable[[Coroutine[Any, Any, None]], None]

PEAK = """
import asyncio

running = 0
peak = 0

async def work(n):
    global running, peak
    running += 1
    peak = max(peak, running)
    await asyncio.sleep(0.01)
    running -= 1
    return peak
"""
MAIN = """
local done, peak = channel.new(20), 0
for i = 1, 12 do
  coroutine.spawn(function() done:send((funcs.call("app:work", i))) end)
end
for _ = 1, 12 do peak = math.max(peak, (done:receive())) end
return peak
"""


def app(path: Path, **options: int) -> Path:
    lua_app(
        path,
        workflows={"main": MAIN},
        python={"work": "peak_of_workers:work"},
        files={"peak_of_workers.py": PEAK},
    )
    index = path / "_index.yaml"
    data = yaml.safe_load(index.read_text())
    data["entries"][0]["worker_options"] = options
    index.write_text(yaml.safe_dump(data))
    return path


def test_a_worker_runs_no_more_activities_at_once_than_it_may(tmp_path: Path, run: Runner) -> None:
    path = app(tmp_path, max_concurrent_activity_execution_size=3)

    async def scenario() -> None:
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            assert await order.result(90) == 3

    run(scenario())


def test_the_cache_is_as_large_as_the_worker_says(tmp_path: Path, run: Runner) -> None:
    async def scenario(path: Path, size: int) -> None:
        async with saros.open(path, workers=False) as opened:
            assert cache_size(opened.deployment) == size
            await asyncio.sleep(0)

    run(scenario(app(tmp_path / "a", max_cached_workflows=7), 7))
    run(scenario(app(tmp_path / "b"), CACHE))


def broken_app(path: Path) -> Path:
    """Write an app whose workflow ``app:main`` does not compile, so that its tasks are parked."""
    lua_app(path, workflows={"main": "return 1"})
    (path / "main.lua").write_text("return { main = function( end }")
    return path


def test_a_released_execution_is_tried_again_at_once(tmp_path: Path, run: Runner) -> None:
    path = broken_app(tmp_path)

    async def scenario() -> None:
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            for failures in (1, 2, 3):  # the pause before the fourth would be four seconds
                await eventually(
                    lambda n=failures: failed(opened, order.id) >= n, f"it failed {failures} times"
                )
                if failures == 3:
                    lua_app(tmp_path, workflows={"main": "return 1"})
                await order.release()
            assert await order.result(2) == 1
            with pytest.raises(saros.Error, match="is parked"):
                await order.release()

    run(scenario())


def test_a_query_does_not_wait_for_a_task_that_is_parked(tmp_path: Path, run: Runner) -> None:
    path = broken_app(tmp_path)

    async def scenario() -> None:
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            for _ in range(2):  # before and after it is parked
                with pytest.raises(saros.Error, match=r"main\.lua") as raised:
                    await order.query("state")
                assert raised.value.kind == UNAVAILABLE

    run(scenario())


def failed(opened: saros.App, id: str) -> int:
    execution: Any = opened.backend.store._current[id]  # type: ignore[attr-defined]
    failures: int = execution.failures if execution.problem else 0
    return failures


def test_programs_that_a_task_needs_stay_when_the_cache_is_small(
    tmp_path: Path, run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    module = "import asyncio\n\nasync def work(n):\n    await asyncio.sleep(0.05)\n    return n\n"
    main = "return (funcs.new():with_options({['activity.local'] = true}):call('app:work', input))"
    path = lua_app(
        tmp_path,
        workflows={"main": main},
        python={"work": "slow_locals:work"},
        files={"slow_locals.py": module},
    )
    index = path / "_index.yaml"
    data = yaml.safe_load(index.read_text())
    data["entries"][0]["worker_options"] = {"max_cached_workflows": 2}
    index.write_text(yaml.safe_dump(data))

    async def scenario() -> None:
        async with saros.open(path) as opened:
            orders = [await opened.start("app:main", number) for number in range(30)]
            assert [await order.result() for order in orders] == list(range(30))

    run(scenario())
    assert "parked" not in caplog.text


def test_a_commit_that_is_refused_stops_no_other(
    tmp_path: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lua_app(tmp_path, workflows={"main": "return input"})
    whole = MemoryStore.commit

    async def commit(self: MemoryStore, commits: Sequence[Commit]) -> list[str]:
        if any(each.run.id == "bad" for each in commits):
            raise saros.Error("a value is too large for it", INVALID)
        return await whole(self, commits)

    monkeypatch.setattr(MemoryStore, "commit", commit)

    async def scenario() -> None:
        async with saros.open(path) as opened:
            await opened.start("app:main", id="bad")
            orders = [await opened.start("app:main", number) for number in range(3)]
            assert [await order.result(20) for order in orders] == [0, 1, 2]
            await eventually(lambda: failed(opened, "bad") >= 1, "its task is parked")
            assert "too large" in (await opened.get("bad").describe()).problem

    run(scenario())
