"""Workflows replay the same way in workers without a cache, and from exported histories."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from saros.app.loading import load_app

# The SDK's word for an activity that ended just before it was to be cancelled.
pytestmark = pytest.mark.filterwarnings("ignore:Cannot find activity to cancel")

INDEX = """
namespace: app
entries:
  - {{name: worker, kind: temporal.worker, task_queue: {queue}, worker_options: {options}}}
  - {{name: echo, kind: function.lua, source: file://echo.lua}}
  - {{name: slow, kind: function.lua, source: file://slow.lua, modules: [time]}}
  - {{name: kid, kind: workflow.lua, source: file://kid.lua, modules: [time]}}
  - {{name: flow, kind: workflow.lua, source: file://flow.lua, modules: [funcs, time, workflow]}}
"""
SLOW = 'local time = require("time") return function(ms) time.sleep(ms .. "ms") return ms end'
KID = 'local time = require("time") return function(ms, err) time.sleep(ms .. "ms") return ms, err end'

MIXED = """
local funcs, time, workflow = require("funcs"), require("time"), require("workflow")
local near = funcs.new():with_options({ ["activity.local"] = true })
local log = {}
local function note(...) log[#log + 1] = table.concat({ ... }, ":") end

local works = {
  function(i) return funcs.call("app:echo", i) end,
  function(i) return near:call("app:echo", i) end,
  function(i) time.sleep(math.random(1, 30) .. "ms") return "slept" end,
  function() local f = funcs.async("app:slow", 400) f:cancel() return "forgotten" end,
  function() local f = funcs.async("app:slow", 400) time.sleep("5ms") f:cancel() return "stopped" end,
  function() return process.exec("app:kid", "app:worker", math.random(1, 15)) end,
  function() return tostring(select(2, process.exec("app:kid", "app:worker", 1, "failed"))) end,
  function() return type(process.spawn("app:kid", "app:worker", 3)) end,
  function(i) return tostring(process.send(process.pid(), "self", i)) end,
  function(i) return tostring(select(2, process.send("app:worker|nobody", "note", i))) end,
  function(i) return workflow.side_effect(function() return i end) end,
  function(i) workflow.attrs({ memo = { step = i } }) return "memo" end,
  function(i) return workflow.version("change" .. i % 3, 1, 2) end,
}

return function(coroutines, steps)
  local done, inbox, events = channel.new(coroutines), process.inbox(), process.events()
  workflow.on_update("add", function(x) note("add", x) return (funcs.call("app:echo", x)) end)
  coroutine.spawn(function() while true do note("event", events:receive().kind) end end)
  coroutine.spawn(function() while true do note(inbox:receive():topic()) funcs.call("app:echo", 0) end end)
  for c = 1, coroutines do
    coroutine.spawn(function()
      for i = 1, steps do
        local work = math.random(#works)
        note(c, work, tostring(works[work](i)))
      end
      done:send(true)
    end)
  end
  for _ = 1, coroutines do done:receive() end
  return log
end
"""
ROW = """
local near = require("funcs").new():with_options({ ["activity.local"] = true })
return function(count)
  local sum = 0
  for i = 1, count do sum = sum + near:call("app:echo", i) end
  return sum
end
"""
FIRST = """
local near = require("funcs").new():with_options({ ["activity.local"] = true })
return function()
  local done = channel.new(10)
  for i = 1, 10 do coroutine.spawn(function() done:send((near:call("app:slow", 20))) end) end
  return (done:receive())
end
"""


def written(root: Path, options: str, flow: str) -> Path:
    root.mkdir()
    (root / "_index.yaml").write_text(INDEX.format(queue=f"q-{uuid.uuid4().hex[:8]}", options=options))
    (root / "echo.lua").write_text("return function(x) return x end")
    (root / "slow.lua").write_text(SLOW)
    (root / "kid.lua").write_text(KID)
    (root / "flow.lua").write_text(flow)
    return root


@pytest.mark.parametrize("options", ["{max_cached_workflows: 0}", "{max_cached_workflows: 2}", "{}"])
def test_workflows_go_on_from_their_history(
    run: Any, opener: Any, tmp_path: Path, plugins: Any, options: str
) -> None:
    root = written(tmp_path / "app", options, MIXED)

    async def one(app: Any, number: int) -> Any:
        handle = await app.start("app:flow", 3, 5)
        for i in range(3):
            await handle.signal("hello", i)
        added = await handle.update("add", number)
        log = await handle.result(90)
        return added, log, await handle.export()

    async def scenario() -> Any:
        async with opener(root) as app:
            return await asyncio.gather(*[one(app, number) for number in range(4)])

    replay = plugins.backends()["temporal"].replay
    app = load_app(root, plugins)
    for number, (added, log, history) in enumerate(run(scenario())):
        assert added == number
        assert {"hello", f"add:{number}"} <= set(log)
        assert len([line for line in log if line[0].isdigit()]) == 15
        assert replay(history, app) == len(history["events"])


def test_many_local_activities_are_more_than_one_task(
    run: Any, opener: Any, tmp_path: Path, plugins: Any
) -> None:
    root = written(tmp_path / "app", "{}", ROW)

    async def scenario() -> Any:
        async with opener(root) as app:
            handle = await app.start("app:flow", 250)
            return await handle.result(90), await handle.export()

    result, history = run(scenario())
    assert result == 250 * 251 // 2
    kinds = [event["eventType"] for event in history["events"]]
    assert kinds.count("EVENT_TYPE_TIMER_FIRED") == 2
    assert kinds.count("EVENT_TYPE_WORKFLOW_TASK_COMPLETED") >= 3  # a task that lasts is completed in between
    assert plugins.backends()["temporal"].replay(history, load_app(root, plugins)) == len(kinds)


def test_a_workflow_may_close_while_local_activities_end(
    run: Any, opener: Any, tmp_path: Path, plugins: Any
) -> None:
    root = written(tmp_path / "app", "{}", FIRST)

    async def one(app: Any) -> Any:
        handle = await app.start("app:flow")
        return await handle.result(90), await handle.export()

    async def scenario() -> Any:
        async with opener(root) as app:
            return await asyncio.gather(*[one(app) for _ in range(10)])

    for result, history in run(scenario()):
        assert result == 20
        assert not any(event["eventType"].endswith("TASK_FAILED") for event in history["events"])
        assert plugins.backends()["temporal"].replay(history, load_app(root, plugins)) == len(
            history["events"]
        )
