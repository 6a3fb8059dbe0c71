"""Calls, futures and activities (§7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, eventually, lua_app

Run = Callable[..., Any]
ECHO = {"echo": "return input"}


def test_bad_ids_are_invalid_and_never_raised(everywhere: Run) -> None:
    code = """
    local kinds = {}
    for i, id in ipairs({"", "echo", ":echo", "app:", 5, true, {}}) do
      local _, a = funcs.call(id)
      local _, b = funcs.async(id)
      kinds[i] = a:kind() .. b:kind() .. tostring(a:retryable())
    end
    return kinds
    """
    assert everywhere(code) == ["InvalidInvalidfalse"] * 7


def test_an_entry_that_the_app_lacks_is_not_found_at_once(everywhere: Run) -> None:
    code = """
    local before = time.now()
    local none, err = funcs.call("app:none")
    local future = funcs.async("app:none")
    local e = future:channel():receive()
    return {none == nil, err:kind(), err:retryable(), e:kind(), time.now():sub(before):seconds() < 1}
    """
    assert everywhere(code) == [True, "NotFound", True, "NotFound", True]


def test_what_is_no_function_cannot_be_called(everywhere: Run) -> None:
    code = "local _, err = funcs.call('app:other') return err:kind()"
    assert everywhere(code, workflows={"other": "return 1"}) == "Invalid"


def test_calls_block_their_coroutine_only(everywhere: Run) -> None:
    code = """
    local log, done = {}, channel.new(0)
    coroutine.spawn(function() local v = funcs.call("app:slow") log[#log + 1] = v done:send() end)
    time.sleep("1s")
    log[#log + 1] = "meanwhile"
    done:receive()
    return log
    """
    assert everywhere(code, functions={"slow": "time.sleep('10s') return 'slow'"}) == ["meanwhile", "slow"]


def test_an_executor_is_immutable_and_its_values_win(everywhere: Run) -> None:
    code = """
    local base = funcs.new()
    local one = base:with_context({a = 1, b = 1})
    local two = one:with_context({b = 2}):with_options({timeout = "1m", ["no.such.option"] = print, [5] = {}})
    return {base ~= one, (base:call("app:reads")), (one:call("app:reads")), (two:call("app:reads"))}
    """
    result = everywhere(code, functions={"reads": "return ctx.all()"}, context={"b": 0})
    assert result == [True, {"b": 0}, {"a": 1, "b": 1}, {"a": 1, "b": 2}]


def test_wrong_options_are_invalid_and_named(everywhere: Run) -> None:
    code = """
    local told = {}
    for i, options in ipairs({
      {["activity.start_to_close_timeout"] = "soon"}, {["temporal.activity.heartbeat_timeout"] = -1},
      {["activity.retry_policy"] = {maximum_attempts = -1}}, {["activity.local"] = "yes"},
      {["activity.retry_policy"] = {backoff_coefficient = 0.5}},
    }) do
      local none, err = funcs.new():with_options(options)
      told[i] = none == nil and err:kind() .. " " .. err:message()
    end
    local _, err = funcs.new():with_options("x")
    local _, err2 = funcs.new():with_context(5)
    return {told, err:kind(), err2:kind()}
    """
    told, options, context = everywhere(code)
    words = [
        "start_to_close_timeout",
        "heartbeat_timeout",
        "maximum_attempts",
        "activity.local",
        "backoff_coefficient",
    ]
    for text, word in zip(told, words, strict=True):
        assert text.startswith("Invalid option ")
        assert word in text
    assert (options, context) == ("Invalid", "Invalid")


MISSPELT = {
    "activity.start_to_close_timeot": "activity.start_to_close_timeout",
    "temporal.activity.heartbeattimeout": "activity.heartbeat_timeout",
    "activity.max_attempts": "",
    "workflow.run_timeot": "workflow.run_timeout",
    "temporal.start_to_close_timeout": "activity.start_to_close_timeout",
    "start_to_close_timeout": "activity.start_to_close_timeout",
    "StartToCloseTimeout": "activity.start_to_close_timeout",
    "maxattempts": "activity.retry_policy.maximum_attempts",
    "retry_polcy": "activity.retry_policy",
    "temporal.nothing": "",
}


@pytest.mark.parametrize("key", MISSPELT)
def test_a_misspelt_option_of_a_call_is_invalid_and_the_right_one_is_named(function: Run, key: str) -> None:
    code = "local none, err = funcs.new():with_options({[input] = 5}) return {none == nil, err:kind(), err:message()}"
    none, kind, message = function(code, key)
    assert (none, kind) == (True, "Invalid")
    assert message.startswith(f"there is no option {key}")
    if MISSPELT[key]:
        assert message.endswith(f"; did you mean {MISSPELT[key]}?")


def test_misspelt_options_of_starts_and_retry_policies_are_invalid(workflow: Run) -> None:
    code = """
    local told = {}
    for i, options in ipairs({
      {["workflow.id_conflict_polcy"] = "fail"}, {["activity.retry_policy"] = {}, ["workflow.retrypolicy"] = {}},
      {execution_timeout = "1h"}, {parent_close_polcy = "abandon"},
      {["workflow.retry_policy"] = {maxattempts = 3}}, {["workflow.retry_policy"] = {3}},
    }) do
      local none, err = process.with_options(options)
      told[i] = none == nil and err:kind() .. " " .. err:message()
    end
    local none, err = require("workflow").attrs({searches = {a = 1}})
    told[#told + 1] = err:kind()
    return told
    """
    assert workflow(code) == [
        "Invalid there is no option workflow.id_conflict_polcy; did you mean workflow.id_conflict_policy?",
        "Invalid there is no option workflow.retrypolicy; did you mean workflow.retry_policy?",
        "Invalid there is no option execution_timeout; did you mean workflow.execution_timeout?",
        "Invalid there is no option parent_close_polcy; did you mean workflow.parent_close_policy?",
        "Invalid option workflow.retry_policy must be a retry policy, but there is no option maxattempts; "
        "did you mean maximum_attempts?",
        False,
        "Invalid",
    ]


def test_options_that_are_nobodys_are_ignored(everywhere: Run) -> None:
    code = """
    local none, err = funcs.new():with_options({priority = 5, tenant = "a", ["my.timeout"] = "x", note = {}, [5] = 1,
      ["workflow.id"] = "for others"})
    return err == nil
    """
    assert everywhere(code) is True


@pytest.mark.parametrize("prefix", ["", "temporal."])
def test_each_option_may_have_the_prefix_temporal(workflow: Run, prefix: str) -> None:
    code = f"""
    local _, err = funcs.new():with_options({{
      ["{prefix}activity.start_to_close_timeout"] = "1s",
      ["{prefix}activity.retry_policy"] = {{maximum_attempts = 1}},
    }}):call("app:slow")
    return {{err:kind(), err:details().timeout_type}}
    """
    assert workflow(code, functions={"slow": "time.sleep('1h')"}) == ["Timeout", "start_to_close"]


# --- futures ------------------------------------------------------------------------------------


def test_a_future_while_its_call_goes_on_and_after(everywhere: Run) -> None:
    code = """
    local f = funcs.async("app:slow", 7)
    local value, err = f:result()
    local e, failed = f:error()
    local before = {f:is_complete(), f:is_canceled(), value == nil, err == nil, e == nil, failed}
    local p, ok = f:response():receive()
    local again = channel.select{f:channel():case_receive(), default = true}
    return {before, p:data(), ok, f:is_complete(), (f:result()):data(), again.default, f:response() == f:channel(),
      f:cancel(), f:is_canceled()}
    """
    slow = "time.sleep('1s') return input"
    assert everywhere(code, functions={"slow": slow}) == [
        [False, False, True, True, True, False], 7, True, True, 7, True, True, False, False,
    ]  # fmt: skip


def test_a_failed_future_yields_the_error_object_with_ok(everywhere: Run) -> None:
    code = """
    local f = funcs.async("app:fails")
    local e, ok = f:channel():receive()
    local none, err = f:result()
    local same, failed = f:error()
    return {type(e), e:kind(), ok, none == nil, err == e, same == e, failed}
    """
    fails = "return nil, errors.new('Bad', 'x')"
    assert everywhere(code, functions={"fails": fails}) == [
        "userdata", "Bad", True, True, True, True, True,
    ]  # fmt: skip


def test_a_cancelled_future_is_canceled_at_once_and_wakes_who_waits(everywhere: Run) -> None:
    code = """
    local f = funcs.async("app:slow")
    local woken = channel.new(1)
    coroutine.spawn(function() local e = f:channel():receive() woken:send(e:kind()) end)
    time.sleep("1s")
    local first = f:cancel()
    local none, err = f:result()
    return {first, f:is_canceled(), f:is_complete(), none == nil, err:kind(), tostring(err):find("canceled") ~= nil,
      (woken:receive()), f:cancel()}
    """
    result = everywhere(code, functions={"slow": "time.sleep('1h')"})
    assert result == [True, True, True, True, "Canceled", True, "Canceled", False]


def test_futures_of_many_calls_are_selected_as_they_complete(everywhere: Run) -> None:
    code = """
    local a, b = funcs.async("app:waits", 20), funcs.async("app:waits", 10)
    local log = {}
    for i = 1, 2 do
      local r = channel.select{a:channel():case_receive(), b:channel():case_receive()}
      log[i] = r.channel == a:channel() and "a" or "b"
    end
    return log
    """
    assert everywhere(code, functions={"waits": "time.sleep(input .. 's')"}) == ["b", "a"]


# --- activities ---------------------------------------------------------------------------------


def test_a_call_goes_to_the_task_queue_that_the_entry_or_the_option_says(tmp_path: Path) -> None:
    other = {"name": "elsewhere", "kind": "temporal.worker", "task_queue": "far"}
    code = """
    local queue = "return require('activity').info().task_queue"
    local option = funcs.new():with_options({["activity.task_queue"] = "far"})
    return {(funcs.call("app:here")), (funcs.call("app:there")), (option:call("app:here"))}
    """
    tells = "return require('activity').info().task_queue"

    async def scenario() -> Any:
        lua_app(
            tmp_path,
            workflows={"main": code},
            functions={"here": tells, "there": tells},
            meta={
                "main": {"temporal": {"workflow": {"worker": "app:worker"}}},
                "there": {"temporal": {"activity": {"worker": "elsewhere"}}},
            },
            entries=(other,),
        )
        async with TestApp(tmp_path) as app:
            return await app.run("app:main")

    assert asyncio.run(scenario()) == ["main", "far", "far"]


def test_an_activity_tells_of_itself_and_others_refuse(function: Run) -> None:
    code = """
    local activity = require("activity")
    local info, err = activity.info()
    local beat, err2 = activity.heartbeat()
    return {info == nil, err:kind(), beat == nil, err2:kind(), activity.is_canceled()}
    """
    assert function(code) == [True, "Invalid", True, "Invalid", False]


def test_the_info_of_an_activity(workflow: Run) -> None:
    tells = "local i = require('activity').info() i.attempt = 'mine' return require('activity').info()"
    info = workflow("return (funcs.call('app:tells'))", functions={"tells": tells}, options={"id": "w-1"})
    assert (info["workflow_id"], info["attempt"], info["task_queue"]) == ("w-1", 1, "main")
    assert isinstance(info["activity_id"], str)
    assert isinstance(info["scheduled_time"], int)


def test_heartbeats_reach_python_functions_too(workflow: Run, tmp_path: Path) -> None:
    module = """
    import saros

    async def beats():
        info = saros.activity.info()
        if info.attempt == 1:
            saros.activity.heartbeat({"at": 4})
            raise saros.Error("again", "Unavailable", retryable=True)
        return info.heartbeat_details
    """
    name = f"beats_{abs(hash(str(tmp_path)))}"
    result = workflow(
        "return (funcs.call('app:beats'))",
        python={"beats": f"{name}:beats"},
        files={f"{name}.py": module},
    )
    assert result == {"at": 4}


def test_wait_for_cancellation_gives_the_activitys_own_end(tmp_path: Path) -> None:
    code = """
    local patient = funcs.new():with_options({["activity.wait_for_cancellation"] = true,
      ["activity.heartbeat_timeout"] = "1s"})
    local value, err = patient:call("app:tidies")
    return {value or false, err and err:kind() or false}
    """
    tidies = """
    local activity = require("activity")
    while not activity.is_canceled() do activity.heartbeat() time.sleep("100ms") end
    return "tidied"
    """

    async def scenario() -> Any:
        lua_app(tmp_path, workflows={"main": code}, functions={"tidies": tidies})
        async with TestApp(tmp_path, "memory://") as app:
            order = await app.start("app:main")

            async def began() -> bool:
                return any(line.name == "ActivityScheduled" for line in await order.history())

            await eventually(began)
            await order.cancel()
            return await order.result(90)

    assert asyncio.run(scenario()) == ["tidied", False]
