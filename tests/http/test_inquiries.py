"""process.describe and process.history: how functions look at workflows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from saros_testing import TestApp, lua_app

FOLLOW = """
local names, cursor, pages = {}, nil, 0
repeat
  local page, err = process.history(input, cursor)
  if err then return nil, err end
  for _, event in ipairs(page.events) do names[#names + 1] = event.name .. " " .. event.summary end
  cursor, pages = page.cursor, pages + 1
until not cursor
return {names = names, pages = pages}
"""
WAITS = """
time.sleep("24h")
return funcs.call("app:double", input)
"""


def run(path: Path, work: Any, **parts: Any) -> Any:
    async def main() -> Any:
        async with TestApp(lua_app(path, **parts)) as app:
            return await work(app)

    return asyncio.run(main())


def test_a_workflow_is_followed_to_its_end(tmp_path: Path) -> None:
    async def work(app: TestApp) -> Any:
        await app.start("app:waits", 21, id="w")
        return await app.call("app:follow", "w")

    told = run(
        tmp_path, work, workflows={"waits": WAITS}, functions={"follow": FOLLOW, "double": "return input * 2"}
    )
    assert told["names"] == [
        "ExecutionStarted app:waits",
        "TimerStarted 24h",
        "TimerFired 24h",
        "ActivityScheduled app:double",
        "ActivityCompleted app:double → 42",
        "ExecutionCompleted 42",
    ]
    assert told["pages"] > 1  # time passed while the call waited


def test_a_chain_of_runs_is_followed(tmp_path: Path) -> None:
    async def work(app: TestApp) -> Any:
        await app.start("app:chain", 1, id="c")
        return await app.call("app:follow", "c")

    chain = """
    if input < 3 then require("workflow").continue_as_new(input + 1) end
    time.sleep("1h")
    return "done"
    """
    names = run(tmp_path, work, workflows={"chain": chain}, functions={"follow": FOLLOW})["names"]
    assert names[-1] == 'ExecutionCompleted "done"'


def test_describe(tmp_path: Path) -> None:
    async def work(app: TestApp) -> Any:
        done = await app.start("app:double", 4, id="d")
        await done.result(timeout=90)
        failing = await app.start("app:fails", id="f")
        outcome = await asyncio.gather(failing.result(timeout=90), return_exceptions=True)
        assert isinstance(outcome[0], Exception)
        by_id, by_pid = await app.call("app:look", "d"), await app.call("app:look", done.pid)
        assert by_id == by_pid
        return by_id, await app.call("app:look", "f"), await app.call("app:look", "none")

    done, failed, none = run(
        tmp_path,
        work,
        workflows={"double": "return input * 2", "fails": 'return nil, errors.new("Odd", "no")'},
        functions={
            "look": """
            local found, err = process.describe(input)
            if err then return {kind = err:kind()} end
            return {found.status, found.result or "-", found.error and found.error.kind or "-", found.close_time}
            """
        },
    )
    assert done[:3] == ["completed", 8, "-"]
    assert done[3].endswith("Z")
    assert failed[:3] == ["failed", "-", "Odd"]
    assert none == {"kind": "NotFound"}


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    async def work(app: TestApp) -> Any:
        workflow = await app.run("app:inside")
        return workflow, await app.call("app:wrong")

    workflow, wrong = run(
        tmp_path,
        work,
        workflows={
            "inside": """
            local _, one = process.describe("x")
            local _, two = process.history("x")
            return {one:kind(), two:kind()}"""
        },
        functions={
            "wrong": """
            local kinds = {}
            local function note(_, err) kinds[#kinds + 1] = err:kind() end
            note(process.describe())
            note(process.describe(process.pid()))
            note(process.history("x", 5))
            note(process.history("x", "nonsense"))
            note(process.history("x"))
            return kinds"""
        },
    )
    assert workflow == ["Invalid", "Invalid"]
    assert wrong == ["Invalid", "Invalid", "Invalid", "Invalid", "NotFound"]
