"""Time in all kinds of code, and the small modules (§9, §10); their details are pinned under tests/lua."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, lua_app

Run = Callable[..., Any]


def test_timers_tickers_and_after(everywhere: Run) -> None:
    code = """
    local start = time.now()
    local t, k = time.timer("10s"), time.ticker("4s")
    local log = {}
    while true do
      local r = channel.select{t:channel():case_receive(), k:response():case_receive()}
      local at = math.floor(r.value:sub(start):seconds())
      log[#log + 1] = (r.channel == t:response() and "timer " or "tick ") .. at
      if r.channel == t:channel() then break end
    end
    local stopped, again = k:stop(), k:stop()
    local after = time.after("1s"):receive()
    return {log, stopped, again, after:sub(start):seconds() // 1 | 0, t:stop()}
    """
    assert everywhere(code) == [["tick 4", "tick 8", "timer 10"], True, False, 11, False]


def test_a_timer_is_stopped_and_reset(everywhere: Run) -> None:
    code = """
    local start = time.now()
    local t = time.timer("1h")
    local was = t:reset("10s")
    local at = t:channel():receive()
    local stopped = time.timer("1h")
    return {was, at:sub(start):seconds() // 1 | 0, t:reset("1s"), stopped:stop(), stopped:stop()}
    """
    assert everywhere(code) == [True, 10, False, True, False]


@pytest.mark.parametrize("call", ["time.timer(0)", "time.ticker('-1s')", "time.timer('x')", "time.ticker()"])
def test_a_timer_of_no_time_is_invalid(everywhere: Run, call: str) -> None:
    code = f"local t, err = {call} return {{t == nil, err:kind(), err:retryable()}}"
    assert everywhere(code) == [True, "Invalid", False]


def test_durations_are_texts_numbers_and_objects(everywhere: Run) -> None:
    code = """
    local start = time.now()
    time.sleep(2 * time.SECOND) time.sleep("1s") time.sleep(time.parse_duration("500ms"))
    local ok, err = time.sleep("soon")
    return {time.now():sub(start):seconds() >= 3.5, ok == nil, err:kind()}
    """
    assert everywhere(code) == [True, True, "Invalid"]


def test_context(everywhere: Run) -> None:
    code = """
    local ctx = require("ctx")
    local all = ctx.all() all.a.b = 99
    local _, missing = ctx.get("x")
    local _, empty = ctx.get("")
    local _, wrong = ctx.get(5)
    return {ctx.get("a"), missing:kind(), missing:retryable(), empty:kind(), empty:retryable(), wrong:kind()}
    """
    assert everywhere(code, context={"a": {"b": 1}}) == [
        {"b": 1}, "NotFound", False, "Invalid", False, "Invalid",
    ]  # fmt: skip


MISUSE = [
    *(f"require('json').{call}" for call in ("decode()", "decode(5)", "encode(print)", "decode('')")),
    *(f"require('uuid').{call}" for call in ("v3()", "v5('x', 'y')", "version(5)", "parse('x')", "format('x')")),
    *(f"require('hash').{call}" for call in ("md5()", "sha256(5)", "hmac_sha1('a')", "fnv32({})")),
    *(f"require('base64').{call}" for call in ("encode()", "decode('***')")),
    *(
        f"require('crypto').{call}"
        for call in (
            "random.bytes(0)", "random.string('x')", "hmac.sha256('', 'x')", "encrypt.aes('x', 'short')",
            "decrypt.chacha20('x', 'y')", "jwt.encode(5, 'k')", "jwt.verify('x', '')", "pbkdf2('', 's', 1, 1)",
            "constant_time_compare(1, 2)",
        )
    ),
    *(
        f"require('time').{call}"
        for call in (
            "unix('x')", "date()", "parse(1, 2)", "parse('2006', 'x')", "parse_duration({})", "load_location('')",
            "load_location('No/Where')", "fixed_zone(1)", "sleep({})", "after({})",
        )
    ),
    "payload.new({}):transcode(5)", "funcs.call(print)", "process.send({}, {})", "process.listen({})",
    "process.spawn({}, {})", "process.exec(1, 2)", "process.registry.lookup({})", "process.upgrade(5)",
    "process.set_options(5)", "process.cancel({})", "errors.call_stack(5)",
    "require('logger'):named('')", "require('logger'):named()",
]  # fmt: skip


@pytest.mark.parametrize("call", MISUSE)
def test_wrong_arguments_give_an_error_object_that_no_retry_mends(function: Run, call: str) -> None:
    code = f"local v, err = {call} return {{v == nil, type(err), err:kind(), err:retryable(), err:message()}}"
    absent, kind_of, kind, retryable, text = function(code)
    assert (absent, kind_of, retryable) == (True, "userdata", False)
    assert kind in ("Invalid", "Internal", "NotFound")
    assert "Traceback" not in text


def test_the_log_is_silent_during_a_replay(workflow: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "saros.app")
    workflow("require('logger'):info('once', {n = 1}) time.sleep('1s') print('twice') return 1")
    told = [record.getMessage() for record in caplog.records if record.name == "saros.app"]
    assert len(told) == 2
    assert 'once {"n":1}' in told[0]


def test_env_in_functions(function: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAROS_TEST_WORD", "found")
    code = """
    local env = require("env")
    local _, missing = env.get("SAROS_TEST_NOTHING")
    local _, wrong = env.get("")
    return {env.get("SAROS_TEST_WORD"), missing:kind(), wrong:kind()}
    """
    assert function(code) == ["found", "NotFound", "Invalid"]


def test_variables_that_entries_declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAROS_TEST_REGION", "eu-1")
    monkeypatch.delenv("SAROS_TEST_PORT", raising=False)
    code = """
    local env, values = require("env"), {}
    for i, name in ipairs{"region", "app:region", "SAROS_TEST_REGION", "port", "SAROS_TEST_PORT", "debug", "none"} do
      local value, err = env.get(name)
      values[i] = value or err:kind()
    end
    local all, err = env.get_all()
    return {values, err == nil, all.region, all.SAROS_TEST_REGION, all.port, all["app:port"] == nil, all.none == nil,
      all.PATH ~= nil, env.set == nil}
    """
    entries = (
        {"name": "region", "kind": "env.variable", "variable": "SAROS_TEST_REGION", "default": "none"},
        {"name": "port", "kind": "env.variable", "variable": "SAROS_TEST_PORT", "default": 8080},
        {"name": "debug", "kind": "env.variable", "default": False, "read_only": True},
        {"name": "none", "kind": "env.variable", "variable": "SAROS_TEST_NONE"},
    )

    async def scenario() -> Any:
        async with TestApp(lua_app(tmp_path, functions={"main": code}, entries=entries)) as app:
            return await app.call("app:main")

    values, *rest = asyncio.run(scenario())
    assert values == ["eu-1", "eu-1", "eu-1", "8080", "8080", "false", "NotFound"]
    assert rest == [True, "eu-1", "eu-1", "8080", True, True, True, True]


def test_an_import_that_failed_may_be_tried_again(everywhere: Run) -> None:
    code = """
    local fine, err = pcall(require, "settings")
    ready = true
    return {fine, tostring(err):match("not ready"), require("settings").ready}
    """
    library = "if not ready then error('not ready') end return {ready = ready}"
    assert everywhere(code, libraries={"settings": library}) == [False, "not ready", True]
