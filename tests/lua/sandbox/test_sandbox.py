"""Determinism of what user code sees (pitfalls C1 to C8)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]

BOTH = pytest.mark.parametrize("workflow", [True, False])


def test_pairs_walks_numbers_then_texts_then_booleans(printed: Call) -> None:
    source = "local t = {b=1, a=2, [3]=1, [1]=0, [1.5]=7, [-2]=8, [true]=9, [false]=10}\n"
    walk = "for k, v in pairs(t) do print(k, v) end"
    wanted = "-2\t8\n1\t0\n1.5\t7\n3\t1\na\t2\nb\t1\nfalse\t10\ntrue\t9"
    assert printed(source + walk) == wanted
    assert printed(source + "for k, v in next, t do print(k, v) end") == wanted


def test_pairs_keeps_its_order_for_many_keys(printed: Call) -> None:
    source = """
      local t, seen = {}, {}
      for i = 300, 1, -1 do t["k" .. i] = i end
      for k in pairs(t) do seen[#seen + 1] = k end
      local sorted = table.pack(table.unpack(seen))
      table.sort(sorted)
      print(#seen, table.concat(seen) == table.concat(sorted))
    """
    assert printed(source) == "300\ttrue"


@BOTH
def test_a_walk_may_change_and_remove_what_it_meets(workflow: bool, printed: Call) -> None:
    source = """
      local t = {1, 2, 3, 4, x = 5, y = 6}
      local sum = 0
      for k, v in %s do
        sum = sum + v
        t[k] = nil
      end
      print(sum, next(t))
      local u = {a = 1, b = 2}
      for k, v in pairs(u) do u[k] = v * 10 end
      print(u.a, u.b)
    """
    for walk in ("pairs(t)", "next, t"):
        assert printed(source % walk, workflow=workflow) == "21\tnil\n10\t20"


def test_a_walk_leaves_out_what_was_removed_ahead_of_it(printed: Call) -> None:
    source = """
      local t = {a = 1, b = 2, c = 3}
      for k in %s do print(k) t.b = nil end
    """
    assert printed(source % "pairs(t)") == "a\nc"
    assert printed(source % "next, t") == "a\nc"


@BOTH
def test_next_is_stateless_where_walks_interleave(workflow: bool, printed: Call) -> None:
    source = """
      local a, b = {x = 1, y = 2, z = 3}, {p = 1, q = 2}
      local n = 0
      for k in next, a do
        for j in next, b do n = n + 1 end
      end
      print(n, next(a, nil) ~= nil, next({}))
    """
    assert printed(source, workflow=workflow) == "6\ttrue\tnil"


def test_next_goes_on_after_a_removed_key(printed: Call) -> None:
    source = "local t = {a=1, b=2, c=3} t.b = nil print(next(t, 'b')) t.c = nil print(next(t, 'c'))"
    assert printed(source) == "c\t3\nnil"


@BOTH
def test_pairs_heeds_its_metamethod(workflow: bool, printed: Call) -> None:
    source = """
      local t = setmetatable({}, {__pairs = function(self)
        return function(_, k) if not k then return "only", 1 end end, self, nil
      end})
      for k, v in pairs(t) do print(k, v) end
    """
    assert printed(source, workflow=workflow) == "only\t1"


def test_objects_as_keys_are_walked_in_order_of_creation(printed: Call) -> None:
    source = """
      local set, names = {}, {}
      for i = 1, 20 do
        local ch = channel.new(0)
        set[ch], names[ch] = true, i
      end
      local order = {}
      for ch in pairs(set) do order[#order + 1] = names[ch] end
      print(table.concat(order, " "))
    """
    assert printed(source) == " ".join(map(str, range(1, 21)))


def test_tables_as_keys_have_no_order_unless_named(printed: Call, raised: Call) -> None:
    assert "several of its keys are tables" in raised("for k in pairs({[{}] = 1, [{}] = 2}) do end")
    assert printed("print(next({[{}] = 1}) ~= nil)") == "true"
    named = """
      local a, b, c = {}, {}, {}
      print(a, b, c)
      for k, v in pairs({[c] = 3, [a] = 1, [b] = 2}) do print(v) end
    """
    assert printed(named) == "table: #1\ttable: #2\ttable: #3\n1\n2\n3"


@BOTH
def test_sort_is_stable_and_survives_bad_comparisons(workflow: bool, printed: Call) -> None:
    source = """
      local list = {}
      for i = 1, 500 do list[i] = {key = i % 7, at = i} end
      table.sort(list, function(a, b) return a.key < b.key end)
      for i = 2, #list do
        local a, b = list[i - 1], list[i]
        assert(a.key < b.key or a.key == b.key and a.at < b.at)
      end
      local n = {}
      for i = 1, 300 do n[i] = (i * 7919) % 300 end
      table.sort(n, function() return true end)
      local flip = false
      table.sort(n, function() flip = not flip return flip end)
      table.sort(n)
      for i = 1, 300 do assert(n[i] == i - 1) end
      local words = {"b", "a", "C"}
      table.sort(words)
      print(table.concat(words, " "))
    """
    assert printed(source, workflow=workflow) == "C a b"


def test_sort_complains_where_the_user_is(raised: Call) -> None:
    assert raised('\ntable.sort({1, "a"})').startswith("app.lua:2: attempt to compare")
    assert raised("table.sort(nil)").startswith("app.lua:1: bad argument #1 to 'sort'")


def test_a_comparison_may_block(printed: Call) -> None:
    source = """
      local ch = channel.new(0)
      coroutine.spawn(function() while true do ch:send(true) end end)
      local list = {3, 1, 2}
      table.sort(list, function(a, b) ch:receive() return a < b end)
      print(table.concat(list, " "))
    """
    assert printed(source) == "1 2 3"


def test_random_numbers_are_those_of_the_seed(make: Call, run: Call) -> None:
    source = """
      print(math.random(1 << 40), math.random())
      math.randomseed()
      print(math.random(1 << 40))
      math.randomseed(42)
      print(math.random(1 << 40))
    """
    outputs = set()
    for seed in [(1, 2), (1, 2), (3, 4)]:
        vm = make()
        vm.call(vm.fn("seed"), *seed)
        outputs.add(run(source, vm).printed)
    assert len(outputs) == 2
    assert len({output.rsplit("\n", 1)[1] for output in outputs}) == 1


@BOTH
def test_names_of_tables_have_no_address(workflow: bool, printed: Call) -> None:
    source = """
      local t, f = {}, function() end
      print(t, f, t, coroutine.create(f), setmetatable({}, {__name = "Point"}))
      print(string.format("%s|%10s|%-10s|", t, f, t), select(2, pcall(error, t)))
      print(setmetatable({}, {__tostring = function() return "me" end}))
    """
    assert printed(source, workflow=workflow) == (
        "table: #1\tfunction: #2\ttable: #1\tthread: #3\tPoint: #4\n"
        "table: #1|function: #2|table: #1 |\ttable: #1\nme"
    )


def test_addresses_cannot_be_formatted(printed: Call, raised: Call) -> None:
    assert "%p is not available" in raised('string.format("%p", {})')
    assert "%p is not available" in raised('string.format("%%%-20p", {})')
    assert printed('print(string.format("100%%p"))') == "100%p"


def test_nan_has_no_sign(printed: Call) -> None:
    source = 'print(0/0, -(0/0), tostring(0/0), string.format("%f %5.1f %G %s", 0/0, 0/0, 0/0, 0/0))'
    assert printed(source) == "nan\tnan\tnan\tnan   nan NAN nan"


def test_metatables_that_would_show_the_collector_are_refused(printed: Call, raised: Call) -> None:
    assert "__gc is not available" in raised("setmetatable({}, {__gc = print})")
    assert "__gc is not available" in raised("setmetatable({}, {__gc = true})", workflow=False)
    assert "weak tables" in raised("setmetatable({}, {__mode = 'k'})")
    assert printed("print(#setmetatable({}, {__mode = 'k'}))", workflow=False) == "0"
    assert "collectgarbage is not available" in raised("collectgarbage()")


def test_the_clock_is_that_of_the_execution(printed: Call, raised: Call) -> None:
    source = """
      print(os.time(), os.date(), os.date("!%Y-%m-%d %H:%M"), os.date("*t").hour)
      print(os.time{year = 2024, month = 2, day = 30, hour = 0}, os.time{year = 1969, month = 12, day = 31})
      print(os.difftime(5, 3), os.clock())
      local t = {year = 2023, month = 14, day = 1}
      os.time(t)
      print(t.year, t.month, t.day, t.wday)
    """
    assert printed(source) == (
        "1700000000\tTue Nov 14 22:13:20 2023\t2023-11-14 22:13\t22\n"
        "1709251200\t-43200\n2.0\t1700000000.0\n2024\t2\t1\t5"
    )
    assert "field 'day' missing" in raised("os.time{year = 2024, month = 1}")
    assert raised('os.date("%Ez")').startswith("app.lua:1: bad argument #1 to 'date'")


PROGRAM = """
math.randomseed()
local t = {}
for i = 1, 60 do t["key" .. math.random(1000)] = {i} end
for k, v in pairs(t) do print(k, v, v[1]) end
print(tostring(print), {}, os.time(), pcall(error, {}))
local list = {}
for i = 1, 200 do list[i] = {math.random(5)} end
table.sort(list, function(a, b) return a[1] < b[1] end)
for i = 1, 200, 17 do print(list[i], list[i][1]) end
print(select(2, pcall(function() return {} < {} end)))
"""


def test_processes_agree() -> None:
    """Different hash seeds, addresses and start times: the same output."""
    here = Path(__file__).parent
    script = (
        f"import sys; sys.path[:0] = {[str(here), *sys.path]!r}\n"
        f"from conftest import run_code\nprint(run_code({PROGRAM!r}).printed)"
    )
    outputs = set()
    for seed in range(4):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PAD": "x" * seed * 100}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert "table: #" in outputs.pop()
