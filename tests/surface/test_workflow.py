"""The workflow module and start options (§8)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, eventually, lua_app, refused

Run = Callable[..., Any]


def scenario(path: Path, body: Callable[[TestApp], Any], **parts: Any) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(100), TestApp(lua_app(path, **parts)) as app:
            return await body(app)

    return asyncio.run(run())


def test_info_has_every_field(workflow: Run) -> None:
    info = workflow("return require('workflow').info()", options={"id": "w-1"})
    assert (info["workflow_id"], info["workflow_type"], info["task_queue"], info["attempt"]) == (
        "w-1", "app:main", "main", 1,
    )  # fmt: skip
    assert isinstance(info["run_id"], str)
    assert isinstance(info["namespace"], str)
    assert info["history_length"] > 0
    assert info["history_size"] > 0
    assert isinstance(info["start_time"], int)


def test_a_child_knows_its_parent(workflow: Run) -> None:
    code = "return {require('workflow').call('app:child'), process.pid()}"
    parent, pid = workflow(code, workflows={"child": "return require('workflow').info().parent"})
    assert parent == pid


def test_a_type_name_starts_a_workflow_and_is_told(tmp_path: Path) -> None:
    async def body(app: TestApp) -> Any:
        order = await app.start("OrderFlow")
        return await order.result(90), (await order.describe()).type

    meta = {"main": {"temporal": {"workflow": {"name": "OrderFlow"}}}}
    main = "return require('workflow').info().workflow_type"
    assert scenario(tmp_path, body, workflows={"main": main}, meta=meta) == ("OrderFlow", "OrderFlow")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("w.version()", "workflow.version expects a change id"),
        ("w.version('', 1, 2)", "workflow.version expects a change id"),
        ("w.version('a', 2, 1)", "min_supported <= max_supported"),
        ("w.version('a', 'x', 1)", "two whole numbers"),
        ("w.side_effect(5)", "workflow.side_effect expects a function"),
        ("w.side_effect(function() return print end)", "side effect is a function"),
        ("w.on_query('', print)", "workflow.on_query expects a name"),
        ("w.on_query('a', 5)", "workflow.on_query expects a function"),
        ("w.on_update('a', print, 5)", "workflow.on_update expects a function"),
    ],
)
def test_wrong_arguments_are_raised_with_the_line(workflow: Run, call: str, words: str) -> None:
    code = f"local w = require('workflow') local ok, err = pcall(function() {call} end) return tostring(err)"
    text = workflow(code)
    assert words in text
    assert "main.lua:" in text


def test_wrong_attributes_are_invalid(workflow: Run) -> None:
    code = """
    local w, kinds = require("workflow"), {}
    for i, given in ipairs({5, {search = 5}, {search = {1, 2}}, {memo = {f = print}}, {search = {a = {b = 1}}}}) do
      local none, err = w.attrs(given)
      kinds[i] = none == nil and err:kind()
    end
    return kinds
    """
    assert workflow(code) == ["Invalid"] * 5


def test_call_runs_a_child_and_exec_is_the_same(workflow: Run) -> None:
    code = """
    local w = require("workflow")
    local _, err = w.call("app:fails")
    local _, bad = w.call("")
    return {w.call("app:child", 1), w.exec("app:child", 2), err:kind(), err:details().n, bad:kind()}
    """
    fails = "return nil, errors.new{message = 'm', kind = 'K', details = {n = 1}}"
    result = workflow(code, workflows={"child": "return input * 10", "fails": fails})
    assert result == [10, 20, "K", 1, "Invalid"]


def test_already_started_is_an_error_when_asked_for(everywhere: Run) -> None:
    code = """
    local options = {["temporal.workflow.id"] = "one"}
    options["temporal.workflow.execution_error_when_already_started"] = true
    local strict = process.with_options(options)
    local pid = strict:spawn_monitored("app:waits", "app:worker")
    local none, err = strict:with_message("go", "from strict"):spawn("app:waits", "app:worker")
    process.send(pid, "go", "from sender")
    return {none == nil, err:kind(), process.events():receive().result.value}
    """
    waits = "return process.inbox():receive():payload():data()"
    assert everywhere(code, workflows={"waits": waits}) == [True, "AlreadyExists", "from sender"]


def test_terminate_existing_makes_room(everywhere: Run) -> None:
    code = """
    local options = {["workflow.id"] = "one", ["workflow.id_conflict_policy"] = "terminate_existing"}
    local starts = process.with_options(options)
    starts:spawn_monitored("app:waits", "app:worker")
    local second = starts:exec("app:waits", "app:worker", 5)
    local e = process.events():receive()
    return {second, e.kind, e.error ~= nil}
    """
    waits = "if input then return input end process.inbox():receive()"
    assert everywhere(code, workflows={"waits": waits}) == [5, "EXIT", True]


def test_cron_schedule_starts_the_workflow_again_and_again(tmp_path: Path) -> None:
    async def body(app: TestApp) -> Any:
        order = await app.start("app:main", id="cron", options={"cron_schedule": "0 * * * *"})
        found: list[Any] = []

        async def three() -> bool:
            nonlocal found
            found = [info async for info in app.app.list("id = 'cron' and status != 'running'")]
            return len(found) >= 3

        await eventually(three, "three runs have ended")
        await order.terminate()
        times = sorted(info.close_time for info in found)[:3]
        return [round((later - earlier) / timedelta(hours=1)) for earlier, later in itertools.pairwise(times)]

    assert scenario(tmp_path, body, workflows={"main": "return 1"}) == [1, 1]


def test_memo_and_search_attributes_of_a_start(tmp_path: Path) -> None:
    async def body(app: TestApp) -> Any:
        await app.run("app:main")
        info = await app.app.get("child").describe()
        return {**info.memo, **info.search_attributes}

    main = """
    process.with_options({["workflow.id"] = "child", ["workflow.memo"] = {note = "n"},
      ["workflow.search_attributes"] = {tier = "gold"}}):exec("app:child", "app:worker")
    """
    told = scenario(tmp_path, body, workflows={"main": main, "child": "return 1"})
    assert told == {"note": "n", "tier": "gold"}


def test_a_workflow_runs_on_the_worker_that_it_names(tmp_path: Path) -> None:
    async def body(app: TestApp) -> Any:
        return await app.run("app:main")

    other = {"name": "elsewhere", "kind": "temporal.worker", "task_queue": "far"}
    queue = "return require('workflow').info().task_queue"
    main = """
    local w = require("workflow")
    local option = process.with_options({["workflow.task_queue"] = "far"})
    return {w.info().task_queue, w.call("app:there"), process.exec("app:any", "elsewhere"),
      option:exec("app:any", "worker")}
    """
    meta = {
        "main": {"temporal": {"workflow": {"worker": "worker"}}},
        "there": {"temporal": {"workflow": {"worker": "elsewhere"}}},
        "any": {"temporal": {"workflow": {"worker": "worker"}}},
    }
    result = scenario(
        tmp_path, body, workflows={"main": main, "there": queue, "any": queue}, meta=meta, entries=(other,)
    )
    assert result == ["main", "far", "far", "far"]


def test_queries_and_updates_through_python(tmp_path: Path) -> None:
    main = """
    local w, n = require("workflow"), 0
    w.on_query("n", function() return n end)
    w.on_query("blocks", function() time.sleep("1s") end)
    w.on_query("fails", function() return nil, errors.new("Odd", "x") end)
    w.on_update("add", function(k) n = n + k return n end, function(k) return k > 0 end)
    process.inbox():receive()
    return n
    """

    async def body(app: TestApp) -> Any:
        order = await app.start("app:main")
        added = await order.update("add", 2)
        told = [await order.query("n"), (await refused(order.query("blocks"))).kind]
        told += [(await refused(order.query("fails"))).kind, (await refused(order.query("none"))).kind]
        told += [(await refused(order.update("add", -1))).kind, (await refused(order.update("none"))).kind]
        await order.signal("end")
        return added, told, await order.result(90)

    added, told, result = scenario(tmp_path, body, workflows={"main": main})
    assert (added, result) == (2, 2)
    assert told[0] == 2
    assert told[2:] == ["Odd", "NotFound", "Invalid", "NotFound"]


def test_side_effect_is_recorded(workflow: Run) -> None:
    code = """
    local w, calls = require("workflow"), 0
    local v = w.side_effect(function() calls = calls + 1 return {n = 7} end)
    return {v.n, calls, w.history_length() > 1}
    """
    assert workflow(code) == [7, 1, True]


def test_a_side_effect_that_raises_does_so_in_a_replay(tmp_path: Path) -> None:
    main = """
    local w, calls = require("workflow"), 0
    local ok = pcall(w.side_effect, function() calls = calls + 1 error("no") end)
    local value = w.side_effect(function() calls = calls + 1 return 5 end)
    local odd = w.side_effect(function() return {["$raised"] = true, ["$error"] = {message = "m"}} end)
    w.on_query("calls", function() return calls end)
    w.on_update("state", function() return {ok, value, odd} end)
    process.inbox():receive()
    """

    async def body(app: TestApp) -> Any:
        order = await app.start("app:main")
        state, calls = await order.update("state"), await order.query("calls")  # the latter by a replay
        await order.signal("end")
        await order.result(90)
        return state, calls

    state, calls = scenario(tmp_path, body, workflows={"main": main})
    assert state[:2] == [False, 5]
    assert state[2] == {"$raised": True, "$error": {"message": "m"}}, "a value is never taken for an error"
    assert calls == 0, "a replay does not call what it has recorded"


def test_continue_as_new_keeps_mail_and_starts_an_empty_history(workflow: Run) -> None:
    code = """
    local w = require("workflow")
    if not input then
      process.send(process.pid(), "kept", 5)
      for _ = 1, 20 do time.sleep("1s") end
      w.continue_as_new(w.history_length())
    end
    return {process.inbox():receive():payload():data(), w.history_length() < input}
    """
    assert workflow(code) == [5, True]
