"""Runaway code is stopped, whatever it tries (pitfalls C9 to C15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.sandbox.vm import Limits

Call = Callable[..., Any]

LOOP = "while true do end"


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
    """Whichever of them comes first on this machine."""
    message = run(LOOP, make(limits=Limits())).message
    assert message.startswith(("this used more than 20000000 instructions", "this ran for more than 150 ms"))


def test_garbage_is_not_held_against_a_program(make: Call, run: Call) -> None:
    vm = make(limits=Limits(milliseconds=5000, memory=16 << 20))
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
