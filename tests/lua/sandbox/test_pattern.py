"""The matcher that is written in Lua finds what Lua's own finds."""

from __future__ import annotations

import random

from saros_lua.sandbox.chunks import compile_library, library_chunk
from saros_lua.sandbox.vm import SANDBOX, Vm

COMPARE = compile_library(
    rb"""
local rt = ...
local raw = rt.raw
local ours, theirs = rt.library("pattern"), raw.string

local function show(ok, ...)
  local list = raw.table.pack(...)
  for i = 1, list.n do list[i] = raw.tostring(list[i]) end
  return ok and "ok " .. raw.table.concat(list, "|") or "failed"
end

local function all(gmatch, subject, pattern)
  local found = {}
  for a, b in gmatch(subject, pattern) do found[#found + 1] = raw.tostring(a) .. ":" .. raw.tostring(b) end
  return raw.table.concat(found, ";")
end

return function(subject, pattern, init, replacement)
  local out = {}
  local function compare(name, a, b)
    if a ~= b then out[#out + 1] = name .. ": Lua " .. a .. ", ours " .. b end
  end
  for _, name in raw.ipairs({ "find", "match" }) do
    compare(name, show(raw.pcall(theirs[name], subject, pattern, init)),
      show(raw.pcall(ours[name], subject, pattern, init)))
  end
  compare("gmatch", show(raw.pcall(all, theirs.gmatch, subject, pattern)),
    show(raw.pcall(all, ours.gmatch, subject, pattern)))
  for limit = 1, 2 do
    compare("gsub", show(raw.pcall(theirs.gsub, subject, pattern, replacement, limit < 2 and limit or nil)),
      show(raw.pcall(ours.gsub, subject, pattern, replacement, limit < 2 and limit or nil)))
  end
  return raw.table.concat(out, "; ")
end
""",
    "compare",
)
ITEMS = ["a", "b", ".", "%a", "%d", "[ab]", "[^a]", "[a-c]", "%s", "%w", "x", "%."]
ITEMS += ["[%]x]", "[]]", "[^]]", "%S", "%b()", "%f[%w]", "%f[^a]"]
SUFFIXES = ["", "", "", "*", "+", "-", "?"]


def random_case(rnd: random.Random) -> tuple[str, str, int, str]:
    pattern = "".join(rnd.choice(ITEMS) + rnd.choice(SUFFIXES) for _ in range(rnd.randint(0, 5)))
    if rnd.random() < 0.5:
        pattern = f"({pattern})" if rnd.random() < 0.7 else f"{pattern}()"
        if rnd.random() < 0.3:
            pattern += "%1"
    pattern = rnd.choice(["", "", "^"]) + pattern + rnd.choice(["", "", "$"])
    subject = "".join(rnd.choice("aabbc 1(.)x]") for _ in range(rnd.randint(0, 14)))
    return subject, pattern, rnd.choice([1, 1, 0, -3, 5, 20]), rnd.choice(["<%0>", "%1", "-", "%%", "", "z%"])


def test_both_matchers_agree() -> None:
    vm = Vm(workflow=True, boot=SANDBOX)
    vm.loaders["library"] = lambda name: COMPARE if name == "compare" else library_chunk(name)
    compare = vm.fn("library")(b"compare")
    rnd = random.Random(54)
    for _ in range(3000):
        case = random_case(rnd)
        assert vm.call(compare, *case) == b"", case
