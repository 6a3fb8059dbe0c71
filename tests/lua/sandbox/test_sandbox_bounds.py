"""Runaway code is stopped, whatever it tries (pitfalls C9 to C15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.sandbox.vm import Limits

Call = Callable[..., Any]

LOOP = "while true do end"
CLOSING = f"local x <close> = setmetatable({{}}, {{__close = function() {LOOP} end}})"

#: Name -> code that tries to run for ever, to use all memory, or to get out; each has to end as a
#: stopped or failed program, or to print "safe" when it is harmless.
ATTEMPTS = {
    "loop": LOOP,
    "pcall": f"pcall(function() {LOOP} end) print('escaped')",
    "pcall loop": f"while true do pcall(function() {LOOP} end) end",
    "nested pcall": f"for i = 1, 50 do pcall(pcall, pcall, function() {LOOP} end) end print('escaped')",
    "xpcall": f"xpcall(function() {LOOP} end, function(e) {LOOP} end) print('escaped')",
    "xpcall handler": f"xpcall(error, function(e) {LOOP} end) print('escaped')",
    "coroutine": f"coroutine.resume(coroutine.create(function() {LOOP} end)) print('escaped')",
    "coroutine pcall": f"pcall(coroutine.wrap(function() pcall(function() {LOOP} end) end)) print('escaped')",
    "many coroutines": "while true do coroutine.wrap(function() for i = 1, 300 do end end)() end",
    "nested coroutines": (
        "local function f() local co = coroutine.wrap(f) for i = 1, 900 do end pcall(co) end "
        "while true do pcall(f) end"
    ),
    "yielding": (
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end"
    ),
    "coroutine.close": (
        f"local co = coroutine.create(function() {CLOSING} "
        "coroutine.yield() end) coroutine.resume(co) coroutine.close(co) print('escaped')"
    ),
    "close of a killed coroutine": (
        f"local co = coroutine.create(function() {CLOSING} "
        f"{LOOP} end) coroutine.resume(co) coroutine.close(co) print('escaped')"
    ),
    "wrap's close": (f"pcall(coroutine.wrap(function() {CLOSING} {LOOP} end)) print('escaped')"),
    "close on error": (f"pcall(function() {CLOSING} error('x') end) print('escaped')"),
    "metamethod": f"local t = setmetatable({{}}, {{__index = function() {LOOP} end}}) "
    "pcall(function() return t.x end) print('escaped')",
    "tostring": f"pcall(tostring, setmetatable({{}}, {{__tostring = function() {LOOP} end}})) print('escaped')",
    "tostring of an error": f"error(setmetatable({{}}, {{__tostring = function() {LOOP} end}}))",
    "sort comparison": f"pcall(table.sort, {{3, 2, 1}}, function() {LOOP} end) print('escaped')",
    "gsub callback": f"pcall(string.gsub, 'x', 'x', function() {LOOP} end) print('escaped')",
    "gsub recursion": "local function f() return (('x'):gsub('x', f)) end pcall(f) while true do pcall(f) end",
    "for iterator": "for _ in function() return 1 end do end",
    "goto": "::again:: goto again",
    "tail calls": "local function f() return f() end f()",
    "recursion": "local function f() return 1 + f() end while true do pcall(f) end",
    "spawned": f"coroutine.spawn(function() pcall(function() {LOOP} end) end)",
    "pairs": f"for k in pairs(setmetatable({{}}, {{__pairs = function() {LOOP} end}})) do end",
    "tables": "local t = {} while true do t[#t + 1] = {} end",
    "tables in pcall": "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
    "doubling": "local s = 'x' while true do s = s .. s end",
    "doubling in pcall": "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
    "rep of rep": "local s = ('x'):rep(1 << 20) local t = {} while true do t[#t + 1] = s:rep(8) end",
    "empty rep": "while true do (''):rep(1 << 31, '') end",
    "huge rep": "while true do pcall(string.rep, 'x', 1 << 40) end",
    "coroutines kept": "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
    "closures kept": "local t = {} while true do t[#t + 1] = function() return t end end",
    "channels kept": "local t = {} while true do t[#t + 1] = channel.new(0) end",
    "varargs": "local function f(...) return f(1, ...) end while true do pcall(f) end",
    "concat of many": "local t = {} for i = 1, 1e5 do t[i] = 'xxxxxxxxxx' end while true do table.concat(t) end",
    "move": "while true do pcall(table.move, {}, 1, 1 << 29, 2) end",
    "move far": "while true do pcall(table.move, {}, 1, math.maxinteger - 1, 2) end",
    "insert with a lying length": (
        "local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.insert(t, 1, 2)"
    ),
    "insert with a changing length": (
        "local n = 0 local t = setmetatable({}, {__len = function() n = n + 1 return n == 1 and 5 or 1 << 60 end}) "
        "while true do pcall(table.insert, t, 1, 2) end"
    ),
    "remove with a lying length": (
        "local t = setmetatable({}, {__len = function() return 1 << 60 end}) table.remove(t, 1)"
    ),
    "concat of a proxy": (
        "table.concat(setmetatable({}, {__index = getmetatable, __metatable = '', "
        "__len = function() return 1 << 60 end}))"
    ),
    "move through proxies": "table.move(setmetatable({}, {__index = rawequal}), 1, 1 << 29, 1, setmetatable({}, {}))",
    "unpack": "while true do pcall(table.unpack, {}, 1, 900000) end",
    "sort with a lying length": "table.sort(setmetatable({}, {__len = function() return 1 << 60 end}), print)",
    "backtracking": "string.find(('a'):rep(30) .. 'b', ('a-'):rep(14) .. 'c')",
    "backtracking options": "string.find(('a'):rep(28), ('a?'):rep(28) .. ('a'):rep(28) .. 'b')",
    "backtracking in pcall": "while true do pcall(string.match, ('a'):rep(200), ('a*'):rep(20) .. 'b') end",
    "backtracking gsub": "string.gsub(('a'):rep(300), ('a-'):rep(8) .. 'b', '')",
    "backtracking gmatch": "for x in string.gmatch(('a'):rep(300), ('.-'):rep(8) .. 'b') do end",
    "quadratic search": "while true do string.find(('a'):rep(1 << 16), '.-b') end",
    "plain search": "local s = ('a'):rep(1 << 20) "
    "while true do pcall(string.find, s, ('a'):rep(1 << 19) .. 'b', 1, true) end",
    "balance": "while true do string.find(('('):rep(1 << 16), '%b()') end",
    "upper": "local s = ('a'):rep(1 << 20) while true do s:upper() end",
    "utf8": "local s = ('a'):rep(1 << 20) while true do utf8.len(s) end",
    "pack": "while true do string.pack('c1000000', '') end",
    "call chain": "local t = {} setmetatable(t, {__call = t}) t()",
    "call chain by rawset": "local m = {} local t = setmetatable({}, m) rawset(m, '__call', t) t()",
    "deep parser input is data": "print(#('('):rep(1e5) > 0 and 'safe')",
    "index chain": "local t = {} setmetatable(t, {__index = t}) "
    "print(pcall(function() return t.x end) and 'x' or 'safe')",
    "print loop": "while true do print('x') end",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_to_run_for_ever_ends(name: str, run: Call) -> None:
    ran = run(ATTEMPTS[name])
    assert "escaped" not in ran.printed
    assert ran.outcome != "ok" or ran.printed == "safe", ran


def test_a_stopped_program_says_where_it_was(run: Call) -> None:
    ran = run("local x = 1\npcall(function()\n  while true do x = x + 1 end\nend)")
    assert ran.outcome == "budget"
    assert ran.message == (
        "this used more than 2000000 instructions without blocking: is there an endless loop at app.lua:3?"
    )
    ran = run("local t = {}\nwhile true do\n  t[#t + 1] = {}\nend")
    assert ran.outcome == "memory"
    assert ran.message == (
        "this needs more than 16 MiB of memory at app.lua:3: does a table or a text grow without end?"
    )


def test_the_budget_is_per_activation(make: Call, run: Call) -> None:
    vm = make()
    for _ in range(5):
        assert run("for i = 1, 3e5 do end", vm).outcome == "ok"


def test_the_budget_is_counted_alike_every_time(run: Call) -> None:
    probe = "local n = 0 while true do n = n + 1 if n % 100 == 0 then print(n) end end"
    assert len({run(probe).printed for _ in range(4)}) == 1


def test_a_loop_under_the_default_limits_ends_soon(run: Call, make: Call) -> None:
    assert run(LOOP, make(limits=Limits())).message.startswith("this used more than 20000000 instructions")


def test_garbage_is_not_held_against_a_program(make: Call, run: Call) -> None:
    vm = make(limits=Limits(memory=16 << 20))
    source = "for i = 1, 400 do local s = ('xxxxxxxx'):rep(1 << 15) .. i end print('fine')"
    assert run(source, vm).printed == "fine"


#: What must not be there, and a word of what the error says.
ABSENT = {
    "io.open('x')": "activity",
    "io.write('x')": "activity",
    "debug.getinfo(1)": "stack",
    "debug.sethook()": "stack",
    "load('return 1')": "library.lua",
    "loadstring('return 1')": "library.lua",
    "loadfile('x')": "library.lua",
    "dofile('x')": "library.lua",
    "package.loaded.x = 1": "modules:",
    "collectgarbage('collect')": "runtime",
    "os.execute('ls')": "activity",
    "os.getenv('HOME')": "require('env')",
    "os.exit()": "return",
    "os.remove('x')": "activity",
    "os.rename('x', 'y')": "activity",
    "os.tmpname()": "activity",
    "os.setlocale('C')": "locale",
}


@pytest.mark.parametrize("code", ABSENT)
@pytest.mark.parametrize("workflow", [True, False])
def test_what_is_not_there_says_what_to_use(code: str, workflow: bool, raised: Call) -> None:
    text = raised(f"\n\n{code}", workflow=workflow)
    assert text.startswith("app.lua:3: ")
    assert "is not available" in text
    assert ABSENT[code] in text


#: Each prints true when the sandbox is tight.
TIGHT = [
    "python == nil and _G.python == nil",
    "getmetatable('') == false",
    "not pcall(setmetatable, _G, {})",
    "getmetatable(_G) == false",
    "_G == _ENV and _G._G == _G",
    "string.dump == nil and ('').dump == nil",
    "not pcall(setmetatable, '', {})",
    "type(channel.new(0)) == 'userdata'",
    "not pcall(next, channel.new(0))",
    "not pcall(pairs, channel.new(0))",
    "not pcall(rawget, channel.new(0), 1)",
    "not pcall(rawset, channel.new(0), 1, 1)",
    "not pcall(rawlen, channel.new(0))",
    "not pcall(setmetatable, channel.new(0), {})",
    "not pcall(table.insert, channel.new(0), 1)",
    "not pcall(table.remove, channel.new(0))",
    "not pcall(table.concat, channel.new(0))",
    "not pcall(table.sort, channel.new(0))",
    "not pcall(table.move, {1}, 1, 1, 1, channel.new(0))",
    "not pcall(table.move, channel.new(0), 1, 1, 1, {})",
    "table.unpack(channel.new(0)) == nil",
    "not pcall(function() channel.new(0).x = 1 end)",
    "not pcall(function() channel.new(0)[1] = 1 end)",
    "getmetatable(channel.new(0)) == false",
    "not pcall(setmetatable, {}, channel.new(0))",
    "(function() for _, v in ipairs(channel.new(0)) do return false end return true end)()",
    "(function() local ok, key = pcall(pairs({}), channel.new(0)) return not ok or key == nil end)()",
    "coroutine.running() ~= nil and select(2, coroutine.running()) == true",
    "not coroutine.isyieldable()",
    "not pcall(coroutine.yield)",
    "not pcall(coroutine.close, (coroutine.running()))",
    "not coroutine.resume((coroutine.running()))",
]


@pytest.mark.parametrize("check", TIGHT)
@pytest.mark.parametrize("workflow", [True, False])
def test_the_sandbox_is_tight(check: str, workflow: bool, printed: Call) -> None:
    assert printed(f"print({check})", workflow=workflow) == "true"


def test_block_cannot_be_seen_through_equality(printed: Call) -> None:
    source = """
      local seen = {}
      local spy = setmetatable({}, {__eq = function(a, b) seen[#seen + 1] = b return true end})
      local co = coroutine.wrap(function() coroutine.yield(spy) end)
      co()
      print(#seen)
    """
    assert printed(source) == "0"
