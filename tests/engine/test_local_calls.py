"""Local activities: they run within a workflow task, and its commit hands over those that have not ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.engine import local_activities as local
from saros_testing import eventually, lua_app

from .conftest import Runner

NEAR = """
local near = funcs.new():with_options({
  ["activity.local"] = true, ["activity.retry_policy"] = {initial_interval = 10, maximum_attempts = 4},
})
"""
MODULE = """
import asyncio
import saros

running = 0
attempts = []

async def nap(seconds):
    global running
    running += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        running -= 1
    return seconds

async def large(size):
    return "x" * size

def fails(times):
    attempt = saros.activity.info().attempt
    attempts.append(attempt)
    if attempt <= times:
        raise ConnectionError(f"try {attempt}")
    return attempt
"""


def local_app(tmp_path: Path, main: str) -> Path:
    name = f"local_{tmp_path.name}".replace("-", "_")
    return lua_app(
        tmp_path,
        workflows={"main": NEAR + main},
        functions={"echo": "return input"},
        python={each: f"{name}:{each}" for each in ("nap", "large", "fails")},
        files={f"{name}.py": MODULE},
    )


def result_of(tmp_path: Path, run: Runner, main: str, *args: Any) -> Any:
    found: list[Any] = []

    async def scenario() -> None:
        async with saros.open(local_app(tmp_path, main)) as opened:
            order = await opened.start("app:main", *args)
            found.append(await order.result(90))

    run(scenario())
    return found[0]


def test_messages_arrive_while_a_local_call_runs(tmp_path: Path, run: Runner) -> None:
    main = """
    local call = near:async("app:nap", 4)
    local said = process.inbox():receive():payload():data()
    local before = call:is_complete()
    return {said, before, call:response():receive():data()}
    """

    async def scenario() -> None:
        async with saros.open(local_app(tmp_path, main)) as opened:
            order = await opened.start("app:main")
            await order.signal("go", "hello")
            assert await order.result(90) == ["hello", False, 4]

    run(scenario())


def test_a_timer_after_a_local_call_is_not_early(tmp_path: Path, run: Runner) -> None:
    main = """
    near:call("app:nap", 0.5)
    local began = time.now():unix_nano()
    time.sleep("300ms")
    return time.now():unix_nano() - began
    """
    assert result_of(tmp_path, run, main) >= 300_000_000


def test_further_attempts_keep_their_number(tmp_path: Path, run: Runner) -> None:
    main = """
    local _, err = near:call("app:fails", 9)
    return {near:call("app:fails", 2), err:message()}
    """
    assert result_of(tmp_path, run, main) == [3, "try 4"]


def test_schedule_to_close_bounds_a_local_call(tmp_path: Path, run: Runner) -> None:
    main = """
    local function kind(limit, seconds)
      local limited = funcs.new():with_options({
        ["activity.local"] = true, ["activity.schedule_to_close_timeout"] = limit,
      })
      local value, err = limited:call("app:nap", seconds)
      return err and err:details().timeout_type or value
    end
    return {kind("200ms", 20), kind("1500ms", 20), kind("20s", 0.01)}
    """
    assert result_of(tmp_path, run, main) == ["schedule_to_close", "schedule_to_close", 0.01]


def test_a_large_result_and_many_calls_at_once(tmp_path: Path, run: Runner) -> None:
    main = """
    local sizes = {}
    for i = 1, 5 do sizes[i] = #near:call("app:large", input) end
    local calls, sum = {}, 0
    for i = 1, 300 do calls[i] = near:async("app:echo", i) end
    for i = 1, 300 do sum = sum + calls[i]:response():receive():data() end
    return {sizes, sum}
    """
    assert result_of(tmp_path, run, main, 200_000) == [[200_000] * 5, 300 * 301 // 2]


@pytest.mark.parametrize("patience", [0.0, 0.02, 30.0])
@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("wait", ["false", "true"])
def test_a_local_call_is_cancelled(
    tmp_path: Path, run: Runner, monkeypatch: pytest.MonkeyPatch, patience: float, when: str, wait: str
) -> None:
    """Before it begins, while it runs in its workflow task, and after that task."""
    monkeypatch.setattr(local, "PATIENCE_S", patience)
    pause = "" if when == "at once" else 'near:call("app:nap", 0.05)'
    main = f"""
    local patient = near:with_options({{["activity.local"] = true, ["activity.wait_for_cancellation"] = {wait}}})
    local call = patient:async("app:nap", 20)
    {pause}
    call:cancel()
    local _, err = call:result()
    process.inbox():receive()
    return err:kind()
    """

    async def scenario() -> None:
        async with saros.open(local_app(tmp_path, main)) as opened:
            order = await opened.start("app:main")

            async def waits() -> bool:
                return (await order.describe()).history_length > 1

            await eventually(waits, "its workflow task has committed")
            if when == "later":
                name = f"local_{tmp_path.name}".replace("-", "_")
                await eventually(
                    lambda: getattr(sys.modules.get(name), "running", 1) == 0,
                    "the activity no longer runs",
                    10,
                )
            await order.signal("go")
            assert await order.result(90) == "Canceled"

    run(scenario())


def test_a_worker_stops_although_local_calls_have_no_end(tmp_path: Path, run: Runner) -> None:
    async def scenario() -> None:
        async with saros.open(local_app(tmp_path, 'while true do near:call("app:echo", 1) end')) as opened:
            order = await opened.start("app:main")

            async def goes_on() -> bool:
                return (await order.describe()).history_length > 100

            await eventually(goes_on, "the workflow makes progress")
            async with asyncio.timeout(100):
                await opened.stop_workers()
            opened.start_workers()
            await order.terminate("enough")

    run(scenario())


ENDLESS = {
    "of nothing": 'while true do funcs.call("app:nothing") end',
    "of a function": 'while true do funcs.call("app:echo", 1) end',
    "to itself": 'while true do process.send(process.pid(), "x", 1) end',
}


@pytest.mark.parametrize("name", ENDLESS)
def test_requests_that_are_answered_at_once_do_not_block_other_work(
    tmp_path: Path, run: Runner, name: str
) -> None:
    """Neither in a workflow nor in a function, which its time limit ends."""

    async def scenario() -> None:
        path = lua_app(
            tmp_path,
            workflows={
                "main": ENDLESS[name],
                "calls": """
                    local limited = funcs.new():with_options({
                      ["activity.start_to_close_timeout"] = 300, ["activity.retry_policy"] = {maximum_attempts = 1},
                    })
                    local _, err = limited:call("app:endless")
                    return err:kind()
                """,
            },
            functions={"endless": ENDLESS[name], "echo": "return input"},
        )
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            calls = await opened.start("app:calls")
            assert await calls.result(90) == "Timeout"
            await order.terminate("enough")

    run(scenario())


def test_an_attempt_hears_that_its_workflow_was_terminated(tmp_path: Path, run: Runner) -> None:
    """Even one that never sends a heartbeat."""
    main = """
    local call, other = near:async("app:nap", 60), funcs.async("app:nap", 60)
    return call:response():receive()
    """

    async def scenario() -> None:
        async with saros.open(local_app(tmp_path, main)) as opened:
            name = f"local_{tmp_path.name}".replace("-", "_")

            def running(number: int) -> bool:
                return getattr(sys.modules.get(name), "running", None) == number

            order = await opened.start("app:main")
            await eventually(lambda: running(2), "both calls have begun")
            await order.terminate("enough")
            await eventually(lambda: running(0), "both calls have ended", 15)

    run(scenario())
