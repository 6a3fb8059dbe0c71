"""The Lua environment (§2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, lua_app

Run = Callable[..., Any]

ALWAYS = {
    "process": "table", "channel": "table", "payload": "table", "errors": "table", "print": "function",
    "string": "table", "table": "table", "math": "table", "coroutine": "table", "os": "table",
    "pcall": "function", "xpcall": "function", "require": "function", "utf8": "table",
}  # fmt: skip


def test_globals_that_are_always_there(everywhere: Run) -> None:
    code = "local found = {} for _, name in ipairs(input) do found[name] = type(_ENV[name]) end return found"
    assert everywhere(code, list(ALWAYS)) == ALWAYS


def test_what_lua_5_1_to_5_3_code_expects(everywhere: Run) -> None:
    code = """
    return {math.pow(2, 10), math.log10(1000), math.atan2(1, 1) == math.atan(1, 1), math.sinh(0), math.cosh(0),
      math.tanh(0), math.ldexp(1, 3), (math.frexp(8)), #table.create(10, 5), (unpack({7, 8})), unpack == table.unpack}
    """
    assert everywhere(code) == [1024.0, 3.0, True, 0.0, 1.0, 0.0, 8.0, 0.5, 0, 7, True]


def test_os_has_time_date_clock_and_difftime_only(everywhere: Run) -> None:
    code = """
    local names = {}
    for name in pairs(os) do names[#names + 1] = name end
    table.sort(names)
    return {names, os.difftime(5, 3), os.date("%Y", 0), os.time({year = 1970, month = 1, day = 2, hour = 0})}
    """
    assert everywhere(code) == [["clock", "date", "difftime", "time"], 2.0, "1970", 86400]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("io.open('x')", "io is not available: do it in an activity"),
        ("debug.traceback()", "debug is not available: err:stack() returns the stack of an error"),
        ("load('return 1')", "load is not available: code comes from entries"),
        ("loadstring('return 1')", "loadstring is not available: code comes from entries"),
        ("loadfile('x')", "loadfile is not available: code comes from entries"),
        ("dofile('x')", "dofile is not available: code comes from entries"),
        ("local _ = package.path", "package is not available: list what you need under modules"),
        ("collectgarbage()", "collectgarbage is not available: the runtime looks after memory"),
        ("os.execute('ls')", "os.execute is not available: do it in an activity"),
        ("os.getenv('HOME')", "os.getenv is not available: use require('env').get"),
        ("os.exit()", "os.exit is not available: return from the entry's function"),
        ("os.remove('x')", "os.remove is not available: do it in an activity"),
        ("os.rename('x', 'y')", "os.rename is not available: do it in an activity"),
        ("os.tmpname()", "os.tmpname is not available: do it in an activity"),
    ],
)
def test_what_is_absent_says_what_to_use_instead(raised: Run, use: str, words: str) -> None:
    text = raised(use)
    assert words in text
    assert "main.lua:" in text


def test_globals_belong_to_one_execution(tmp_path: Path) -> None:
    async def scenario() -> None:
        lua_app(tmp_path, workflows={"main": "seen = (seen or 0) + 1 string.mine = (string.mine or 0) + 1 "
                                             "return {seen, string.mine}"})  # fmt: skip
        async with TestApp(tmp_path) as app:
            assert [await app.run("app:main") for _ in range(3)] == [[1, 1]] * 3

    asyncio.run(scenario())


def test_require_gives_listed_modules_and_the_globals(everywhere: Run) -> None:
    code = """
    return {require("json") == require("json"), require("process") == process, require("channel") == channel,
      require("payload") == payload, require("errors") == errors, require("string") == string}
    """
    assert everywhere(code) == [True] * 6


def test_require_of_anything_else_names_the_module_and_the_entry(raised: Run) -> None:
    text = raised("require('no_such')")
    assert 'there is no module "no_such"; installed are activity, base64' in text


def test_require_of_what_the_entry_does_not_list_names_both(tmp_path: Path) -> None:
    plain = {"name": "plain", "kind": "function.lua", "source": "file://plain.lua", "modules": ["time"]}
    code = "return function() local ok, err = pcall(require, 'json') return tostring(err) end"

    async def scenario() -> Any:
        lua_app(tmp_path, workflows={"main": "return 1"}, entries=(plain,), files={"plain.lua": code})
        async with TestApp(tmp_path) as app:
            return await app.call("app:plain")

    text = asyncio.run(scenario())
    assert (
        'module "json" is not listed by app:plain; add it to the entry\'s modules, or to its imports' in text
    )


GLOBALS = ["os", "string", "table", "math", "utf8", "coroutine", "process", "channel", "payload", "errors"]


def test_listing_what_is_always_there_is_harmless(tmp_path: Path) -> None:
    code = """
    return function(names)
      local same = {}
      for i, name in ipairs(names) do same[i] = require(name) == _ENV[name] and type(_ENV[name]) == "table" end
      return same
    end
    """
    entries = tuple(
        {"name": name, "kind": kind, "source": "file://main.lua", "modules": GLOBALS}
        for name, kind in (("flow", "workflow.lua"), ("fn", "function.lua"))
    )

    async def scenario() -> Any:
        async with TestApp(lua_app(tmp_path, entries=entries, files={"main.lua": code})) as app:
            return await app.run("app:flow", GLOBALS), await app.call("app:fn", GLOBALS)

    assert asyncio.run(scenario()) == ([True] * len(GLOBALS),) * 2


def test_listed_modules_and_imports_are_also_globals(tmp_path: Path) -> None:
    main = """
    return function()
      local before = {json == require("json"), util == require("util"), util.name(), util.count}
      json = 5 -- a global of the code's own wins
      return {before, json, util.json_is(), hash == nil, util.hash_is()}
    end
    """
    util = """
    count = (count or 0) + 1
    return {
      count = count, name = function() return other.name end,
      json_is = function() return json end, hash_is = function() return type(hash.md5) end,
    }
    """
    imported = [
        {"name": "util", "kind": "library.lua", "source": "file://util.lua", "modules": ["hash"],
         "imports": {"other": "other"}},
        {"name": "other", "kind": "library.lua", "source": "file://other.lua"},
    ]  # fmt: skip
    entries = tuple(
        {
            "name": name,
            "kind": kind,
            "source": "file://main.lua",
            "modules": ["json"],
            "imports": {"util": "util"},
        }
        for name, kind in (("flow", "workflow.lua"), ("fn", "function.lua"))
    )
    files = {"main.lua": main, "util.lua": util, "other.lua": "return {name = 'other'}"}

    async def scenario() -> Any:
        async with TestApp(lua_app(tmp_path, entries=(*entries, *imported), files=files)) as app:
            return await app.run("app:flow"), await app.call("app:fn")

    # `hash` is listed by the library alone, and `other` is imported by it alone.
    expected = [[True, True, "other", 1], 5, 5, True, "function"]
    assert asyncio.run(scenario()) == (expected, expected)


def test_a_module_that_is_not_listed_is_no_global(failing: Run) -> None:
    error = failing("return slug.of('x')")
    assert "global 'slug'" in error.message


def test_modules_that_do_not_suit_say_what_to_use_instead(tmp_path: Path) -> None:
    code = "return function(name) local ok, err = pcall(require, name) return tostring(err) end"
    entries = tuple(
        {"name": name, "kind": kind, "source": "file://main.lua", "modules": modules}
        for name, kind, modules in (
            ("flow", "workflow.lua", ["activity", "http_client", "env"]),
            ("fn", "function.lua", ["workflow"]),
        )
    )

    async def scenario() -> Any:
        lua_app(tmp_path, entries=entries, files={"main.lua": code})
        async with TestApp(tmp_path) as app:
            texts = [await app.run("app:flow", name) for name in ("activity", "http_client", "env")]
            return [*texts, await app.call("app:fn", "workflow")]

    activity, http_client, env, workflow = asyncio.run(scenario())
    assert 'workflow code may not require "activity"; workflows use workflow.info()' in activity
    assert "do it in a function, and call that with funcs.call" in http_client
    assert "read it in a function" in env
    assert 'only workflow code may require "workflow"; activities use activity.info()' in workflow


def test_a_program_may_yield_over_pcall_and_xpcall(everywhere: Run) -> None:
    code = """
    local function inner() time.sleep("10ms") error("late") end
    local ok, err = xpcall(inner, function(e) return "handled " .. tostring(e) end)
    local fine, value = pcall(function() time.sleep("10ms") return 5 end)
    return {ok, err, fine, value}
    """
    ok, err, fine, value = everywhere(code)
    assert (ok, fine, value) == (False, True, 5)
    assert err.startswith("handled ")
    assert err.endswith("late")


def test_coroutine_spawn_runs_beside_and_does_not_keep_the_entry_alive(everywhere: Run) -> None:
    code = """
    local log, done = {}, channel.new(0)
    coroutine.spawn(function(a, b) log[#log + 1] = a + b done:send(true) while true do time.sleep("1h") end end, 2, 3)
    log[#log + 1] = "first"
    done:receive()
    return log
    """
    assert everywhere(code) == ["first", 5]


def test_coroutine_spawn_wants_a_function(raised: Run) -> None:
    assert "coroutine.spawn expects a function" in raised("coroutine.spawn(5)")


def test_an_error_in_a_spawned_coroutine_fails_the_entry(failing: Run) -> None:
    error = failing("coroutine.spawn(function() error('inside') end) process.inbox():receive()")
    assert error.kind == "Internal"
    assert "inside" in error.message


def test_events_are_handled_one_at_a_time(workflow: Run) -> None:
    code = """
    local log = {}
    local a, b = process.listen("a"), process.listen("b")
    coroutine.spawn(function()
      a:receive() log[#log + 1] = "a1" channel.select{channel.new(1):case_receive(), default = true}
      log[#log + 1] = "a2"
    end)
    coroutine.spawn(function() b:receive() log[#log + 1] = "b" end)
    process.send(process.pid(), "a") process.send(process.pid(), "b")
    time.sleep("10ms")
    return log
    """
    assert workflow(code) == ["a1", "a2", "b"]


def test_messages_that_arrived_before_the_first_run_wait(tmp_path: Path) -> None:
    async def scenario() -> Any:
        lua_app(tmp_path, workflows={"main": "local log = {} local inbox = process.inbox() "
                                             "for i = 1, 3 do log[i] = inbox:receive():payload():data() end "
                                             "return log"})  # fmt: skip
        async with TestApp(tmp_path, workers=False) as app:
            order = await app.start("app:main")
            for number in range(3):
                await order.signal("early", number)
            app.app.start_workers()
            return await order.result(90)

    assert asyncio.run(scenario()) == [0, 1, 2]


# --- in workflow code ---------------------------------------------------------------------------


def test_a_workflow_sees_its_own_time(workflow: Run) -> None:
    code = """
    local t, c, n = os.time(), os.clock(), time.now()
    local same = os.time() == t and time.now():equal(n) and os.date("%Y", t) == tostring(n:year())
    time.sleep("36h")
    return {same, os.time() - t, time.now():sub(n):hours(), os.clock() - c >= 129600 - 1}
    """
    assert workflow(code) == [True, 36 * 3600, 36.0, True]


def test_random_numbers_are_seeded_by_the_run(tmp_path: Path) -> None:
    code = """
    local function draw() return {math.random(1 << 40), require("uuid").v4(), require("crypto").random.string(8)} end
    local before = draw()
    time.sleep("1s")
    return {before, draw()}
    """

    async def scenario() -> Any:
        lua_app(tmp_path, workflows={"main": code})
        async with TestApp(tmp_path) as app:
            first = await app.start("app:main")
            second = await app.start("app:main")
            results = await first.result(90), await second.result(90)
            worker: Any = app.app.backend
            worker.workflow_worker.drop_all()  # what follows replays
            assert await refreshed(app, first.id) == "completed"
            return results

    one, two = asyncio.run(scenario())
    assert one != two
    assert one[0] != one[1]


async def refreshed(app: TestApp, id: str) -> str:
    return (await app.app.get(id).describe()).status


def test_pairs_and_tostring_are_stable(workflow: Run) -> None:
    code = """
    local t = {z = 1, a = 2, [3] = 3, [1] = 1, [true] = 4, [2.5] = 5}
    local keys = {}
    for key in pairs(t) do keys[#keys + 1] = tostring(key) end
    local first, fn = {}, function() end
    return {keys, tostring(first), tostring(fn), tostring(first)}
    """
    keys, table, fn, again = workflow(code)
    assert keys == ["1", "2.5", "3", "a", "z", "true"] or keys == ["1", "2.5", "3", "z", "a", "true"]
    assert (table, fn, again) == ("table: #1", "function: #2", "table: #1")


@pytest.mark.parametrize("metatable", ["{__gc = function() end}", "{__mode = 'k'}"])
def test_gc_hooks_and_weak_tables_are_refused(workflow: Run, metatable: str) -> None:
    code = f"local ok, err = pcall(setmetatable, {{}}, {metatable}) return {{ok, tostring(err)}}"
    ok, text = workflow(code)
    assert not ok
    assert "not available" in text


# --- objects ------------------------------------------------------------------------------------

OBJECTS = {
    "error": "errors.new('x')", "time": "time.now()", "duration": "time.parse_duration('1s')",
    "location": "time.utc", "channel": "channel.new(0)", "case": "channel.new(0):case_receive()",
    "payload": "payload.new(1)", "executor": "funcs.new()", "spawner": "process.with_options({})",
    "timer": "time.timer('1h')", "ticker": "time.ticker('1h')", "future": "funcs.async('app:echo', 1)",
}  # fmt: skip


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_are_sealed_userdata_with_plain_functions_as_methods(workflow: Run, kind: str) -> None:
    method = {
        "error": "kind", "time": "unix", "duration": "hours", "location": "string", "channel": "receive",
        "payload": "data", "executor": "call", "spawner": "spawn", "timer": "stop", "ticker": "stop",
        "future": "result",
    }.get(kind)  # fmt: skip
    code = f"""
    local object = {OBJECTS[kind]}
    local sets = pcall(function() object.field = 1 end)
    local raws = pcall(rawset, object, "field", 1)
    local metas = pcall(setmetatable, object, {{}})
    local walks = pcall(next, object)
    return {{type(object), sets, raws, metas, walks, getmetatable(object) == false,
      {f"type(object.{method})" if method else '"function"'}}}
    """
    result = workflow(code, functions={"echo": "return input"})
    assert result == ["userdata", False, False, False, False, True, "function"]


def test_data_that_crossed_a_boundary_is_plain_tables(workflow: Run) -> None:
    code = """
    local back = funcs.call("app:echo", {list = {1, 2}, map = {a = 1}})
    return {type(back), type(back.list), getmetatable(back) == nil, getmetatable(back.map) == nil, #back.list}
    """
    assert workflow(code, functions={"echo": "return input"}) == ["table", "table", True, True, 2]
