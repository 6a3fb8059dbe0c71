"""A VM that is reused: a program leaves nothing behind for the next one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from saros.model.records import DONE, START, Event
from saros_lua.library import chunk_files
from saros_lua.program import LuaProgram
from saros_lua.sandbox.chunks import compile_user
from saros_lua.sandbox.pool import VmPool
from saros_lua.sandbox.vm import Limits, Vm

# Uses as much of the library's state as it can, and changes everything that it can reach.
UNTIDY = b"""
local funcs, errors = require("funcs"), require("errors")
require("lib").n = 2
local keep = { tostring(print), tostring({}), errors.new("Kind", "text") }
for key in pairs({ a = 1, b = 2 }) do keep[#keep + 1] = next(keep, nil) end
leaked, _G.type, string.upper, table.insert, coroutine.wrap = 1, nil, nil, nil, nil
errors.new, funcs.call_it, process.extra, math.huge = nil, 1, 2, 3
setmetatable(string, { __index = function() return 4 end })
setmetatable(funcs, {})
math.randomseed()
require("uuid").v1() require("uuid").v7() require("logger"):info("text")
string.format("%s", ("x"):rep(10):find("x+"))
return {
  main = function(a)
    coroutine.spawn(function() process.inbox():receive() end)
    coroutine.spawn(function() require("channel").new(0):receive() end)
    local future = funcs.async("app:f", a, { big = 2^53, list = { 1, 2 } })
    local value, err = funcs.call("app:f", a)
    pcall(error, err)
    require("time").sleep("1h")
  end,
}
"""

# Requires the same modules, and leaves nothing behind.
TIDY = b"""
return { main = function()
  local _ = string.format("%s", ("x"):find("x+")), table, math, process, errors, channel
  math.randomseed(1)
  require("uuid").v4()
  require("logger"):info("text")
  require("lib") require("channel") require("time") require("funcs").async("app:f") funcs.call("app:f")
end }
"""

# Everything that a VM's library holds, as "path = what". Tables and functions are looked into; left out are
# what renewal itself keeps (boot.lua: loaded code) and the caches of the JSON modules.
LOOK = b"""
local rt, debug = ...
debug = package.loaded.debug
local BOOT = {
  library = true, lasting = true, keep = true, each_program = true, add_source = true, main_of = true,
  own_source = true, renew = true,
}
local seen, lines = {}, {}
local function look(value, path)
  local kind = type(value)
  if kind ~= "table" and kind ~= "function" and kind ~= "thread" then
    lines[#lines + 1] = path .. " = " .. kind .. " " .. (kind == "userdata" and "" or tostring(value))
    return
  end
  if seen[value] then
    return
  end
  seen[value] = true
  lines[#lines + 1] = path .. " = " .. kind
  if kind == "function" then
    local info = debug.getinfo(value, "S")
    if info.what ~= "C" and not info.source:find("json_") then
      for i = 1, 255 do
        local name, upvalue = debug.getupvalue(value, i)
        if not name then break end
        look(upvalue, path .. "^" .. i)
      end
    end
  elseif kind == "table" then
    local names, others = {}, 0
    for key in next, value do
      if type(key) == "string" then names[#names + 1] = key else others = others + 1 end
    end
    table.sort(names)
    lines[#lines + 1] = path .. " has " .. others .. " other keys"
    for _, name in ipairs(names) do
      if not (value == rt and BOOT[name]) then look(rawget(value, name), path .. "." .. name) end
    end
    for i = 1, rawlen(value) do look(rawget(value, i), path .. "[" .. i .. "]") end
    look(debug.getmetatable(value), path .. "!")
  end
end
look(rt, "rt")
look(debug.getmetatable(""), "text")
return table.concat(lines, "\\n")
"""

BOUNDS = re.compile(r"= number (19\d{6}|\d+\.\d+|\d{10})$")
"""What is left of the budget, and the clocks' last resort: they start anew with every activation."""


class Entry(NamedTuple):
    id: str


class Runtime:
    """The app and the driver, as far as a program needs them."""

    replaying = False

    def __init__(self, main: bytes) -> None:
        self._main = main

    def source(self, entry: Any, *, workflow: bool) -> tuple[Any, ...]:
        if entry.id == "app:lib":
            return 1, compile_user(b"return { n = 1 }", "lib.lua"), b"", b"", b"", b"app:lib"
        modules = b"funcs\ntime\nprocess\nmath\nuuid\nlogger\njson"
        return 2, compile_user(self._main, "main.lua"), b"main", modules, b"lib=app:lib", b"app:main"

    def entry(self, id: str) -> Entry:
        return Entry(id)

    def give_back(self, vm: Vm) -> None:
        pass

    def history(self) -> tuple[int, int]:
        return 0, 0

    def log(self, level: str, message: str, fields: bytes) -> None:
        pass


def run(vm: Vm, main: bytes, seed: int) -> None:
    runtime: Any = Runtime(main)
    entry: Any = Entry("app:main")
    program = LuaProgram(runtime, entry, vm, runtime)
    start = b'{"args":[%d],"context":{"user":"ann"},"secret":"s%d"}' % (seed, seed)
    commands = program.advance([Event(START, 0, start, 5)])[0]
    assert [command.op for command in commands] == ["call", "call"]
    program.advance([Event(DONE, 2, b'{"err":{"message":"m","kind":"K"}}', 6)])
    program.close()


def look(vm: Vm) -> list[str]:
    text: bytes = vm._lua.execute(LOOK, vm.rt)
    lines = text.decode(errors="replace").split("\n")
    return [BOUNDS.sub("= bound", line) for line in lines]


@pytest.mark.parametrize("workflow", [True, False])
def test_a_renewed_vm_holds_what_a_new_one_holds(workflow: bool) -> None:
    vm = Vm(workflow=workflow)
    run(vm, TIDY, 1)
    vm.renew()
    fresh = look(vm)
    assert len(fresh) > 500
    run(vm, UNTIDY, 2)
    assert look(vm) != fresh
    vm.renew()
    assert look(vm) == fresh


@pytest.mark.parametrize("workflow", [True, False])
def test_lasting_chunks_do_not_depend_on_what_a_program_changed(workflow: bool) -> None:
    tidy, untidy = Vm(workflow=workflow), Vm(workflow=workflow)
    for vm, main in ((tidy, TIDY), (untidy, UNTIDY)):
        run(vm, main, 1)
        vm.renew()
        run(vm, TIDY, 2)  # loads the modules that the other program has required
        vm.renew()
    assert sorted(look(untidy)) == sorted(look(tidy))


# Requires modules when almost no stack is left to run them, and clears the modules that it gets.
DIVE = b"""
local function spoil()
  for _, name in ipairs({ "json", "uuid", "process" }) do
    local fine, module = pcall(require, name)
    if fine then
      for key in pairs(module) do module[key] = nil end
    end
  end
end
local function step(n, last)
  if n == 0 then last() else step(n - 1, last) return end
end
local function dive(n, last)
  local LOCALS = n
  if n == 0 then last() else dive(n - 1, last) return end
end
local low, high = 1, 20000
while high - low > 1 do
  local middle = (low + high) // 2
  if pcall(dive, middle, function() end) then low = middle else high = middle end
end
return { main = function()
  for n = low, low - 9, -1 do -- deepest first: what has been loaded once need not be loaded again
    for m = 63, 0, -1 do pcall(dive, n, function() step(m, spoil) end) end
  end
  require("funcs").async("app:f") require("funcs").call("app:f")
end }
""".replace(b"LOCALS", b", ".join(b"a%d" % number for number in range(190)))
USE = b"""
return { main = function()
  assert(require("json").encode({ 1 }) == "[1]" and require("uuid").v4() and require("process").pid())
  require("funcs").async("app:f") require("funcs").call("app:f")
end }
"""


@pytest.mark.parametrize("workflow", [True, False])
def test_a_vm_whose_chunk_failed_halfway_is_not_reused(workflow: bool) -> None:
    pool = VmPool(limits=Limits(instructions=200_000_000, milliseconds=60_000))
    first = pool.take(workflow)
    run(first, DIVE, 1)
    assert first.spoiled
    pool.give_back(first)
    assert len(pool) == 0
    second = pool.take(workflow)
    run(second, USE, 2)
    assert not second.spoiled
    pool.give_back(second)
    assert len(pool) == 1


@pytest.mark.parametrize("workflow", [True, False])
def test_chunks_that_last_make_no_object_when_they_run(workflow: bool) -> None:
    """Otherwise object order would differ between the program that runs the chunk and those that find it loaded."""
    vm = Vm(workflow=workflow)
    files = chunk_files().items()
    lasting = sorted(name for name, file in files if b"\nrt.lasting()\n" in file.read_bytes())
    assert len(lasting) > 20
    for name in lasting:
        vm.call(vm.fn("library"), name)
    make = vm._lua.execute(
        b"local rt = ... return function() return rt.ordinal_of(rt.payload_new(1)) end", vm.rt
    )
    assert vm.call(make) == 1


def test_a_vm_does_not_grow_by_the_programs_that_it_runs() -> None:
    vm = Vm(workflow=True)
    sizes = []
    for number in range(60):
        run(vm, UNTIDY, number)
        vm.renew()
        vm._lua.gccollect()
        sizes.append(vm.memory)
    assert sizes[-1] - sizes[20] < 2_000
