"""Runs programs of grammar.py as they are, with the checks of the sandbox, and with a check at every store.

``python differential.py FIRST LAST`` runs the programs of these seeds, tells those that differ, and ends with
one line of JSON that says how many ran, and how many checks they made. It is a process of its own, for wrong
bytecode ends it.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from unittest.mock import patch

import lupa.lua54 as lupa
from grammar import Grammar

from saros_lua.sandbox import instrument as module

_KIT = rb"""
local dump, clock, sethook, setupvalue = string.dump, os.clock, debug.sethook, debug.setupvalue
local stack, unpack = debug.traceback, table.unpack
local function compile(source)
  local main, message = load(source, "@program.lua", "t")
  return main and dump(main), message
end
local function run(bytecode, checked)
  local lines, seen, n, checks = {}, {}, 0, {}
  local function show(value)
    local kind = type(value)
    if kind == "string" then
      return #value > 300 and #value .. value:sub(1, 100) or value
    elseif kind == "number" or kind == "boolean" or value == nil then
      return tostring(value)
    elseif not seen[value] then
      n = n + 1
      seen[value] = n
    end
    return kind .. "#" .. seen[value]
  end
  local function note(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = show(parts[i]) end
    if #lines < 3000 then lines[#lines + 1] = table.concat(parts, " ") end
  end
  local function yield(...)
    if coroutine.isyieldable() then return coroutine.yield(...) end
  end
  local plain = {
    __concat = function(a, b) return type(a) == "table" and "C" .. show(b) or show(a) .. "D" end,
    __len = function() return "__call" end, __add = function() return "__mode" end,
    __close = function(_, e) note("close", e) end, __unm = function() return {} end,
    __lt = function() yield("lt") return true end,
    __newindex = function(t, k, v) note("newindex", k, v) rawset(t, k, v) end,
  }
  local other = {
    __concat = function() yield("concat") return 5 end, __index = function(_, k) return k end,
    __add = function() yield("add") return "__call" end,
  }
  local env = {
    note = note, show = show, pcall = pcall, xpcall = xpcall, select = select, ipairs = ipairs, next = next,
    coroutine = coroutine, id = function(...) return ... end, f = function(a, b) return a, 7, b end,
    g = function(...) return ..., "g", show((...)) end, object = { m = function(_, ...) return "m", ... end },
    pause = function(...) yield(...) return ... end,
    table_of = function(v) return type(v) == "table" and v or {} end,
    made = function(v) return setmetatable({ v }, type(v) == "number" and other or plain) end,
    closer = function(v) return setmetatable({ v }, plain) end,
    each = function(last) local i = 0 return function() i = i + 1 if i <= last then return i, "e" .. i end end end,
  }
  local main = load(bytecode, "program", "b", env)
  if checked then
    setupvalue(main, 2, function(a, key, value)
      if type(a) == "string" and key == nil or key == "__call" or key == "__mode" then
        checks[#checks + 1] = (type(a) == "string" and show(a) or type(a)) .. " " .. show(key) .. " " .. type(value)
      end
    end)
  end
  local co, late = coroutine.create(main), clock() + 20
  sethook(co, function() if clock() > late then error("this takes too long") end end, "", 10000)
  local results = table.pack(coroutine.resume(co))
  for i = 1, 200 do
    if coroutine.status(co) ~= "suspended" then break end
    note(unpack(results, 1, results.n))
    results = table.pack(coroutine.resume(co, i))
  end
  note("end", unpack(results, 1, results.n))
  if not results[1] then lines[#lines + 1] = stack(co) end
  return table.concat(lines, "\n"), table.concat(checks, "\n"), #checks
end
return compile, run
"""


def all_checks(bytecode: bytes) -> bytes:
    """Instrument bytecode with a check at every store."""
    with (
        patch.object(module, "_counted", lambda _: set()),
        patch.object(module, "_ARITHMETIC", frozenset()),
        patch.object(module._Pieces, "_compared", lambda _self, _key, call: call),
    ):
        return module.instrument(bytecode)


def difference(one: bytes, two: bytes) -> str:
    """The first lines in which two outputs differ."""
    lines = zip([*one.split(b"\n"), b"(end)"], [*two.split(b"\n"), b"(end)"], strict=False)
    return next((f"{a!r:.200} and {b!r:.200}" for a, b in lines if a != b), "")


def main(first: int, last: int) -> None:
    compiled, run = None, None
    ran = checks = 0
    for seed in range(first, last):
        if seed % 50 == 0 or run is None:
            vm = lupa.LuaRuntime(
                encoding=None, register_eval=False, register_builtins=False, max_memory=1 << 28
            )
            compiled, run = vm.execute(_KIT)
        result: Any = compiled(Grammar(seed).program().encode())  # type: ignore[misc]
        bytecode = result[0] if isinstance(result, tuple) else result
        if bytecode is None:  # the compiler refuses it, for example because it has too many variables
            continue
        ran += 1
        try:
            checked, fully = module.instrument(bytecode), all_checks(bytecode)
        except module.TooLarge:
            continue
        plain, _, _ = run(bytecode, False)
        output, made, count = run(checked, True)
        _, due, _ = run(fully, True)
        checks += count
        if told := difference(plain, output):
            print(f"seed {seed}: output {told}")
        if told := difference(due, made):
            print(f"seed {seed}: checks {told}")
    print(json.dumps({"ran": ran, "checks": checks}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
