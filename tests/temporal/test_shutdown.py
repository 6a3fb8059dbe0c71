"""Workers that are stopped as soon as they are started, or while the server is away, end all the same."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from saros_testing import lua_app

BOUND_S = 60.0


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"one": "return 1"})


def test_workers_that_are_stopped_at_once(run: Any, opener: Any, app_path: Path, caplog: Any) -> None:
    async def main() -> None:
        for number in range(4):
            async with opener(app_path) as app:
                await asyncio.sleep(number * 0.05)
                began = time.monotonic()
                await app.stop_workers()
                assert time.monotonic() - began < BOUND_S

    run(main(), timeout=4 * BOUND_S)
    assert "did not" not in caplog.text
    assert "Traceback" not in caplog.text


def test_workers_that_are_stopped_while_the_server_is_away(
    run: Any, another: Any, opener: Any, app_path: Path
) -> None:
    async def main() -> None:
        async with opener(app_path, another.url) as app:
            await (await app.start("app:one")).result(90)
            another.stop()
            began = time.monotonic()
            await app.stop_workers()
            assert time.monotonic() - began < BOUND_S

    run(main(), timeout=3 * BOUND_S)


MAIN = """
local policy = {initial_interval = input, maximum_interval = input}
local near = funcs.new():with_options({["activity.local"] = true, ["activity.retry_policy"] = policy})
return (near:call("app:work"))
"""
WORK = """
import asyncio

attempts = 0

async def work():
    global attempts
    attempts += 1
    if attempts == 1:
        raise ConnectionError("not yet")
    return attempts
"""


@pytest.mark.parametrize("interval", ["4s", "6s"])  # the worker waits itself, and a timer does
def test_a_local_activity_between_two_attempts_is_handed_over(
    interval: str, run: Any, opener: Any, until: Any, tmp_path: Path, caplog: Any
) -> None:
    path = lua_app(
        tmp_path / "app",
        workflows={"main": MAIN},
        python={"work": "between_attempts:work"},
        files={"between_attempts.py": WORK},
        worker_options={"worker_stop_timeout": "100ms"},
    )

    sys.modules.pop("between_attempts", None)

    async def begun() -> bool:
        return bool(getattr(sys.modules.get("between_attempts"), "attempts", 0))

    async def main() -> Any:
        async with opener(path) as app:
            order = await app.start("app:main", interval)
            await until(begun, BOUND_S)
            await asyncio.sleep(0.2)
            began = time.monotonic()
            await app.stop_workers()
            took = time.monotonic() - began
            app.start_workers()
            return await order.result(BOUND_S), took

    result, took = run(main(), timeout=3 * BOUND_S)
    assert result == 2
    assert took < BOUND_S
    assert "did not" not in caplog.text
