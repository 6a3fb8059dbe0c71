"""The rules of docs/sandbox.md, as ordinary programs meet them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.sandbox.chunks import compile_user
from saros_lua.sandbox.instrument import instrument
from saros_lua.sandbox.vm import Limits

Call = Callable[..., Any]
ROOMY = Limits(instructions=20_000_000, milliseconds=60_000, memory=16 << 20)
BOTH = pytest.mark.parametrize("workflow", [True, False])


@BOTH
def test_a_handler_gets_the_error_and_its_place(workflow: bool, printed: Call) -> None:
    source = """
      local errors = require and errors
      local object = {}
      print(select(2, xpcall(error, function(e) return e == object end, object)))
      local function broken()
        error("deep")
      end
      local ok, err = xpcall(broken, function(e) return errors.new(e) end)
      print(ok, err:message(), err:stack():match("^app.lua:6"))
      print(select("#", xpcall(error, function() return 1, 2 end)))
      print(select(2, xpcall(error, function() error("worse", 0) end)))
      print(xpcall(function(...) return select("#", ...), ... end, print, nil, 2, nil))
      print(errors.new("x"):stack():match("app.lua:6"))
    """
    assert printed(source, workflow=workflow).split("\n") == [
        "true",
        "false\tapp.lua:6: deep\tapp.lua:6",
        "2",
        "worse",
        "true\t3\tnil\t2\tnil",
        "nil",
    ]


def test_a_handler_may_block(printed: Call) -> None:
    source = """
      local ch = channel.new(0)
      coroutine.spawn(function() ch:send("waited") end)
      print(xpcall(error, function() return (ch:receive()) end))
    """
    assert printed(source) == "false\twaited"


@BOTH
def test_deep_recursion_is_legal_and_a_full_stack_can_be_caught(workflow: bool, printed: Call) -> None:
    source = """
      local function sum(n) return n == 0 and 0 or n + sum(n - 1) end
      print(sum(15000))
      local function nested(n) if n == 0 then return "bottom" end return select(2, pcall(nested, n - 1)) end
      print(nested(100))
    """
    assert printed(source, workflow=workflow) == "112507500\nbottom"


def test_a_program_without_c_stack_is_stopped(run: Call) -> None:
    ran = run("local function f() return pcall(f) end print(f()) print('escaped')")
    assert ran.outcome == "stack"
    assert "nests calls too deep" in ran.message
    assert ran.printed == ""


def test_closers_run_in_order_and_see_the_error(printed: Call) -> None:
    source = """
      local function closer(name) return setmetatable({}, {__close = function(_, e) print(name, e) end}) end
      print(pcall(function() local a <close> = closer("a") local b <close> = closer("b") error("x", 0) end))
      local co = coroutine.create(function() local c <close> = closer("c") coroutine.yield() end)
      coroutine.resume(co)
      print(coroutine.close(co))
      print(pcall(coroutine.wrap(function() local d <close> = closer("d") error("y", 0) end)))
    """
    assert printed(source) == "b\tx\na\tx\nfalse\tx\nc\tnil\ntrue\nd\ty\nfalse\ty"


@BOTH
def test_metamethods_may_be_put_in_later(workflow: bool, printed: Call) -> None:
    source = """
      local mt = {}
      local t = setmetatable({}, mt)
      mt.__call = function(_, x) return x end
      mt["__" .. "index"] = function(_, k) return k end
      mt.__add = function() return "sum" end
      print(t(1), t.key, t + t)
      mt.__call = nil
      print(pcall(t))
      local data = {__call = 1, __mode = "k", ["__" .. "mode"] = 2}
      data.__call, data["__" .. "mode"] = {}, "v"
      print(data.__mode)
    """
    lines = printed(source, workflow=workflow).split("\n")
    assert lines[0] == "1\tkey\tsum"
    assert lines[1].startswith("false\t")
    assert lines[2] == "v"


STORES = (
    "m.__mode = 'v'",
    "m['__' .. 'mode'] = 'v'",
    "rawset(m, '__mode', 'v')",
    "setmetatable({}, {__newindex = m}).__mode = 'v'",
    "setmetatable({}, {__newindex = setmetatable({}, {__newindex = m})})['__' .. 'mode'] = 'v'",
)


def test_stores_that_go_elsewhere_are_free(printed: Call) -> None:
    source = """
      local m, got = {}, {}
      local t = setmetatable({}, m)
      local p = setmetatable({__call = 1}, {__newindex = m})
      p.__call = t
      local q = setmetatable({}, {__newindex = function(_, k, v) got[k] = v end})
      q.__call, q["__" .. "mode"] = t, "k"
      print(rawget(p, "__call") == t, rawget(m, "__call"), got.__call == t, got.__mode)
      local r = setmetatable({}, {__newindex = p})
      print(pcall(function() r.__call = 5 end), p.__call)
      local a, b = {}, {}
      setmetatable(a, {__newindex = b})
      setmetatable(b, {__newindex = a})
      print(pcall(function() a.__call = t end))
    """
    lines = printed(source).split("\n")
    assert lines[:2] == ["true\tnil\ttrue\tk", "true\t5"]
    assert lines[2].startswith("false\tapp.lua:")


def test_other_keys_are_free_in_functions_with_many_constants(printed: Call) -> None:
    many = ", ".join(f"f{n} = {n}.5" for n in range(300))
    source = f"""
      local many, m = {{{many}}}, {{}}
      local t = setmetatable({{}}, m)
      for _, key in ipairs({{"__index", "__name", 5}}) do m[key] = {{}} m[key] = "x" end
      print(m.__index, m.__name, m[5], pcall(function() m[nil] = 1 end))
    """
    assert printed(source).startswith("x\tx\tx\tfalse\tapp.lua:")
    assert "__call must be a function" in printed(
        f"local many, m = {{{many}}}, {{}} local t = setmetatable({{}}, m) "
        "print(pcall(function() m['__' .. 'call'] = t end))"
    )


@pytest.mark.parametrize("store", STORES)
def test_a_table_cannot_become_weak_later_in_workflows(store: str, raised: Call, printed: Call) -> None:
    source = f"local m = {{}} local t = setmetatable({{}}, m)\n{store}"
    assert raised(source).startswith("app.lua:2: weak tables (__mode) are not available in workflow code")
    assert printed(source + " print('fine')", workflow=False) == "fine"


def test_weak_keys_are_kept_in_functions(printed: Call) -> None:
    source = """
      local cache = setmetatable({}, {__mode = "k"})
      local key = {}
      cache[key] = "value"
      print(cache[key], #setmetatable({}, {__mode = "kv"}))
    """
    assert printed(source, workflow=False) == "value\t0"


#: Code with every kind of jump, whose bytecode the checks move apart.
JUMPS = """
local out = {}
local function add(...) for i = 1, select("#", ...) do out[#out + 1] = tostring((select(i, ...))) end end
for i = 3, 1, -1 do local s = "n" .. i if i == 2 then goto next end
  add(s .. (i > 2 and "big" or "small")) ::next:: end
for k, v in pairs({a = 1, b = 2}) do local t = {} t[k] = v t[k .. v] = k .. "=" .. v add(t[k], t[k .. v]) end
local i = 0
while true do i = i + 1 if i > 3 then break end local t = {} t[i] = i .. "" add(t[i] .. "|" .. i) end
repeat local x = "r" .. i i = i - 1 add(x) until i < 2 or x == "r2"
local function vary(...) local t = {...} t[select("#", ...)] = "last" return ..., "a" .. #t end
add(vary("x", "y"))
do local c <close> = setmetatable({}, {__close = function() add("closed" .. i) end}) add("in" .. i) end
local ok = (i == 1) ~= (("x" .. i) == "x1")
add(not ok, "x" < "y" .. i, ("a" .. "b") == "ab")
print(table.concat(out, " "))
"""


@BOTH
def test_checks_change_nothing_but_their_place(workflow: bool, printed: Call) -> None:
    wanted = "n3big n1small 1 a=1 2 b=2 1|1 2|2 3|3 r4 r3 r2 x a2 in1 closed1 true true true"
    assert sorted(printed(JUMPS, workflow=workflow).split()) == sorted(wanted.split())


def test_errors_keep_their_lines_and_names(raised: Call) -> None:
    lines = [f"local a{number} = 'x' .. {number}" for number in range(150)]
    source = "\n".join([*lines, "local t = {}", "for i = 1, 2 do t[i] = i end", "local z = t.y.z .. 'x'"])
    assert raised(source).startswith("app.lua:153: attempt to index a nil value (field 'y')")
    assert raised("\nlocal x = nil\nlocal y = 'a' .. x").startswith(
        "app.lua:3: attempt to concatenate a nil value (local 'x')"
    )


def test_a_function_that_has_no_room_for_checks_is_an_error() -> None:
    many = "local " + ", ".join(f"a{number}" for number in range(199)) + " = 1\nlocal s = a1 .. a2"
    assert compile_user(many.encode(), "many.lua")
    with pytest.raises(ValueError, match="not bytecode"):
        instrument(b"return 1")


def test_limits_are_told(raised: Call) -> None:
    assert "at most 4096 bytes, this one has 5002" in raised("('x'):find('[' .. ('a'):rep(5000) .. ']')")
    assert "at most 4194304 bytes" in raised("local s = ('\\0'):rep(5 << 20)")
    assert "at most 65536" in raised("table.unpack({}, 1, 70000)")
    assert "at most 65536" in raised("('x'):rep(70000):byte(1, -1)")
    assert "at most 16777216 bytes" in raised("string.pack('c99999999', '')")


NESTED = """
local function fails() error("x") end
local function calls() fails() return 1 end
local stack
local function outer()
  xpcall(calls, function(e)
    stack = errors.new("y"):stack()
  end)
  return 1
end
outer()
for line in stack:gmatch("app.lua:(%d+)") do print(line) end
"""


def test_the_stack_of_a_handler_reaches_outside_of_its_xpcall(printed: Call) -> None:
    """The inner frames are those of the error; the handler's own frames are left out."""
    assert printed(NESTED).split() == ["2", "3", "6", "11"]


def test_a_failing_xpcall_costs_about_as_much_at_any_depth(make: Call, run: Call) -> None:
    deep = """
      local function handler(e) return e end
      local function down(n)
        if n > 0 then local x = down(n - 1) return x end
        for i = 1, 2000 do xpcall(error, handler, "x") end
      end
      down(%d)
    """

    def seconds(depth: int) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            assert run(deep % depth, make(limits=ROOMY)).outcome == "ok"
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(100) < 3 * seconds(2)
