"""The environment behaves as Lua 5.4 does, and coroutines go together with blocking calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.sandbox.vm import Limits

Call = Callable[..., Any]

BOTH = pytest.mark.parametrize("workflow", [True, False])

#: Expressions that are true in Lua 5.4, and in the sandbox.
LUA = [
    "undefined_name == nil and rawget(_G, 'undefined_name') == nil",
    "_VERSION == 'Lua 5.4'",
    "select('#', pcall(function() end)) == 1",
    "select('#', pcall(function() return nil, nil end)) == 3",
    "select(2, pcall(error)) == nil",
    "select(2, pcall(error, nil)) == nil",
    "select(2, xpcall(error, function(e) return e .. '!' end, 'x')) == 'x!'",
    "select('#', xpcall(function(...) return ... end, print, 1, nil, 3)) == 4",
    "not pcall(xpcall, print)",
    "not pcall(pcall)",
    "tostring(nil) == 'nil' and tostring(1.0) == '1.0' and tostring(true) == 'true'",
    "tonumber('0x10') == 16 and tonumber('z', 36) == 35 and tonumber('x') == nil",
    "('x'):rep(3, ',') == 'x,x,x' and ('x'):rep(0) == '' and ('x'):rep(-1) == '' and ('x'):rep(2.0) == 'xx'",
    "('x'):rep('3') == 'xxx' and string.rep(1, 2) == '11'",
    "('%d'):format(3.0) == '3' and ('%5s|'):format(nil) == '  nil|' and ('%s %s'):format(1, true) == '1 true'",
    "('%q'):format('a\\n') == '\"a\\\\\\n\"'",
    "table.concat({1, 2.5, 'x'}, '-') == '1-2.5-x' and table.concat({}, 'x') == ''",
    "table.concat({1, 2, 3}, ',', 2) == '2,3' and table.concat({1, 2, 3}, ',', 2, 2) == '2'",
    "select('#', table.unpack({}, 1, 3)) == 3 and select('#', unpack({1, nil, 3}, 1, 3)) == 3",
    "table.pack(1, nil).n == 2",
    "#table.move({1, 2, 3}, 1, 3, 2) == 4 and table.move({1, 2}, 1, 2, 1, {})[2] == 2",
    "table.remove({}) == nil and table.remove({1, 2}) == 2 and table.remove({1, 2}, 1) == 1",
    "not pcall(table.remove, {1, 2}, 7) and not pcall(table.insert, {}, 1, 2, 3) and not pcall(table.insert, {})",
    "#table.create(10) == 0 and next(table.create(3, 4)) == nil",
    "math.pow(2, 10) == 1024 and math.log10(1000) - 3 < 1e-12 and math.ldexp(0.5, 3) == 4",
    "math.frexp(8) == 0.5 and select(2, math.frexp(8)) == 4 and math.tanh(1000) == 1 and math.sinh(0) == 0",
    "math.atan2(1, 1) == math.atan(1, 1) and math.fmod(7, 3) == 1 and 7 // 2 == 3 and 7 % -3 == -2",
    "utf8.len('héé') == 3 and utf8.char(233) == 'é' and utf8.codepoint('é') == 233",
    "('abc'):find('b', 1, true) == 2 and ('a.c'):find('.', 1, true) == 2 and ('abc'):match('(b)(c)') == 'b'",
    "select('#', ('abc'):find('(a)(b)')) == 4 and ('abc'):find('') == 1 and ('abc'):find('x') == nil",
    "('abc'):gsub('', '-') == '-a-b-c-' and select(2, ('abc'):gsub('%w', '%0%0', 2)) == 2",
    "('abc'):gsub('%w', {a = '1', b = true and 'z', c = false}) == '1zc'",
    "('x=1, y=2'):gsub('(%w+)=(%w+)', '%2=%1') == '1=x, 2=y'",
    "('abc'):byte(-1) == 99 and ('abc'):sub(-2) == 'bc' and ('ab'):upper() == 'AB' and ('ab'):reverse() == 'ba'",
    "string.unpack('<i4', string.pack('<i4', 7)) == 7",
    "rawlen({1, 2}) == 2 and rawlen('abc') == 3 and rawequal('a', 'a') and rawget({x = 1}, 'x') == 1",
    "rawset({}, 'x', 1).x == 1 and not pcall(rawset, {}, nil, 1) and not pcall(rawset, 1, 1, 1)",
    "getmetatable(setmetatable({}, {__metatable = 'mine'})) == 'mine'",
    "not pcall(setmetatable, setmetatable({}, {__metatable = 'mine'}), {})",
    "setmetatable(setmetatable({}, {}), nil) ~= nil and not pcall(setmetatable, {}) ~= nil",
    "coroutine.status(coroutine.create(print)) == 'suspended'",
    "coroutine.close(coroutine.create(print)) == true",
    "select(2, coroutine.resume(coroutine.create(function(a) return a end), 5)) == 5",
    "coroutine.resume(coroutine.create(error), 'x') == false",
    "select('#', coroutine.resume(coroutine.create(function() coroutine.yield() end))) == 1",
    "coroutine.wrap(function() return coroutine.isyieldable() end)() == true",
    "coroutine.wrap(function() return select(2, coroutine.running()) end)() == false",
    "coroutine.wrap(function() return pcall(coroutine.yield, 1) end)() == 1",
    "not pcall(coroutine.wrap(print), setmetatable({}, {__tostring = error}))",
    "(function() local log = '' do local x <close> = setmetatable({}, {__close = function() log = log .. 'c' end}) "
    "end return log end)() == 'c'",
    "(function() for i = 1, 3 do if i == 2 then goto done end end ::done:: return true end)()",
    "tostring(2^53) == '9.007199254741e+15' and 1e15 == 10^15 and 3 | 4 == 7 and '10' + 5 == 15",
    "math.type(1) == 'integer' and math.tointeger(3.0) == 3 and math.maxinteger + 1 == math.mininteger",
]


@pytest.mark.parametrize("check", LUA)
@BOTH
def test_it_is_lua(check: str, workflow: bool, printed: Call) -> None:
    assert printed(f"print({check})", workflow=workflow) == "true"


#: Mistakes in line 2, and the error's text as Lua has it.
MISTAKES = {
    "string.rep()": "bad argument #1 to 'rep' (string expected, got no value)",
    "('x'):rep({})": "bad argument #2 to 'rep' (number expected, got table)",
    "('x'):find('[')": "malformed pattern (missing ']')",
    "('x'):gsub('x', '%2')": "invalid capture index %2 in replacement string",
    "('%d'):format('x')": "bad argument #2 to 'format' (number expected, got string)",
    "('%d'):format({})": "bad argument #2 to 'format' (number expected, got table)",
    "table.concat({{}})": "invalid value (at index 1) in table for 'concat'",
    "table.insert(nil, 1)": "bad argument #1 to 'insert' (table expected, got nil)",
    "table.insert({}, 5, 1)": "bad argument #2 to 'insert' (position out of bounds)",
    "table.unpack({}, 1, 1e8)": "too many results to unpack (at most 65536)",
    "for k in pairs(nil) do end": "bad argument #1 to 'for iterator' (table expected, got nil)",
    "next(1)": "bad argument #1 to 'next' (table expected, got number)",
    "setmetatable(1, {})": "bad argument #1 to 'setmetatable' (table expected, got number)",
    "setmetatable({}, 1)": "bad argument #2 to 'setmetatable' (nil or table expected)",
    "coroutine.wrap(1)": "bad argument #1 to 'wrap' (function expected)",
    "coroutine.resume(1)": "bad argument #1 to 'resume' (coroutine expected)",
    "coroutine.yield(1)": "attempt to yield from outside a coroutine",
    "local x = nil; x.y = 1": "attempt to index a nil value (local 'x')",
    "error('mine')": "mine",
}


@pytest.mark.parametrize("code", MISTAKES)
def test_mistakes_are_told_with_the_users_line(code: str, raised: Call) -> None:
    text = raised(f"\n{code}").split("\n")[0]
    if "concat" in code:
        assert text.startswith("app.lua:2: invalid value")
    elif "%2" in code:
        assert text.startswith("app.lua:2: invalid capture index %2")
    else:
        assert text == f"app.lua:2: {MISTAKES[code]}"


def test_a_callbacks_error_stays_as_it_is(printed: Call) -> None:
    assert (
        printed("print(select(2, pcall(string.gsub, 'x', 'x', function() error('bare', 0) end)))") == "bare"
    )
    assert (
        printed("local e = {} print(select(2, pcall(string.gsub, 'x', 'x', function() error(e) end)) == e)")
        == "true"
    )


def test_error_levels_reach_over_pcall_without_showing_the_library(printed: Call) -> None:
    assert printed("print(pcall(function() error('x', 2) end))") == "false\tx"
    assert printed("print(pcall(function() error('x') end))") == "false\tapp.lua:1: x"


def test_a_traceback_shows_user_frames_only(raised: Call) -> None:
    text = raised(
        "local function inner()\n  error('deep')\nend\n"
        "local function outer()\n  pcall(print)\n  inner()\nend\nouter()"
    )
    assert text.split("\n") == [
        "app.lua:2: deep",
        "app.lua:2: in inner",
        "app.lua:6: in outer",
        "app.lua:8: in main chunk",
    ]


def test_globals_are_the_users_own(printed: Call) -> None:
    assert printed("x = 1 print(x, _G.x) _G.y = 2 print(y) print(rawget(_G, 'x'))") == "1\t1\n2\n1"
    assert printed("string.shout = function(s) return s:upper() end print(('a'):shout())") == "A"
    assert printed("string.format = nil type = nil print(('x'):rep(2), channel.new(1))") == "xx\t<channel>"


def test_objects_compare_by_identity_and_serve_as_keys(printed: Call, raised: Call) -> None:
    source = """
      local a, b = channel.new(0), channel.new(0)
      local t = {[a] = 1, [b] = 2}
      print(a == a, a == b, t[a], t[b])
    """
    assert printed(source) == "true\tfalse\t1\t2"
    assert "attempt to concatenate a channel value" in raised("return 'x' .. channel.new(0)")
    assert "a channel cannot be changed (field 'x')" in raised("channel.new(0).x = 1")


def test_a_blocking_call_in_a_generator_blocks_the_task(printed: Call) -> None:
    source = """
      local ch = channel.new(0)
      coroutine.spawn(function() for i = 1, 3 do ch:send(i) end ch:close() end)
      local numbers = coroutine.wrap(function()
        while true do
          local value, ok = ch:receive()
          if not ok then return nil end
          coroutine.yield(value * 10)
        end
      end)
      for n in numbers do print(n) end
      local co = coroutine.create(function(a)
        local inner = coroutine.wrap(function() return (channel.new(1)):send(a) and "sent" end)
        print(inner())
        return coroutine.yield("y")
      end)
      print(coroutine.resume(co, 1))
      print(coroutine.resume(co, "r"))
      print(coroutine.status(co))
    """
    assert printed(source) == "10\n20\n30\nsent\ntrue\ty\ntrue\tr\ndead"


def test_a_blocked_generator_cannot_be_disturbed(printed: Call) -> None:
    source = """
      local ch = channel.new(0)
      local co = coroutine.create(function() return (ch:receive()) end)
      local wrapped = coroutine.wrap(function() return (ch:receive()) end)
      coroutine.spawn(function()
        print(coroutine.status(co), coroutine.resume(co))
        print(pcall(coroutine.close, co))
        ch:send("value")
      end)
      print(coroutine.resume(co))
      coroutine.spawn(function() print(pcall(wrapped)) ch:send("again") end)
      print(wrapped())
    """
    assert printed(source) == (
        "normal\tfalse\tcannot resume non-suspended coroutine\n"
        "false\tapp.lua:7: cannot close a normal coroutine\n"
        "true\tvalue\n"
        "false\tapp.lua:11: cannot resume non-suspended coroutine\nagain"
    )


def test_a_task_cannot_be_resumed_by_another(printed: Call) -> None:
    source = """
      local me = coroutine.running()
      local ch = channel.new(0)
      coroutine.spawn(function()
        print(coroutine.status(me), coroutine.resume(me))
        print((pcall(coroutine.close, me)))
        ch:send(1)
      end)
      print(ch:receive())
    """
    assert printed(source) == "normal\tfalse\tcannot resume non-suspended coroutine\nfalse\n1\ttrue"


def test_blocking_where_lua_cannot_yield_is_an_error(run: Call, raised: Call) -> None:
    assert run("local ch = channel.new(0); ('x'):gsub('x', function() ch:receive() end)").outcome == "error"
    source = """
      local ch = channel.new(0)
      local gen = coroutine.wrap(function() ch:receive() end);
      ('x'):gsub('x', function() gen() end)
    """
    assert "cannot be called from within" in raised(source)


@BOTH
def test_long_texts_are_searched_as_lua_would(workflow: bool, make: Call, run: Call) -> None:
    """Above a size, patterns are matched by our own matcher; it has to agree with Lua's."""
    source = """
      local line = "key = value; "
      local big = line:rep(2000)
      local n = 0
      for k, v in big:gmatch("(%w+) = (%w+)") do assert(k == "key" and v == "value") n = n + 1 end
      local swapped, count = big:gsub("(%w+) = (%w+)", "%2 = %1")
      print(n, count, swapped:sub(1, 13), big:find("e; k", 1, false))
      print(#(("  " .. big):match("^%s*(.-)%s*$")), big:match("()zzz-y"), (big .. "[x[y]]"):match("(%b[])$"))
    """
    ran = run(source, make(workflow, Limits()))
    assert ran.printed == "2000\t2000\tvalue = key; \t11\t14\n25999\tnil\t[x[y]]"
