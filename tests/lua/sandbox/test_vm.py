"""The Python side: what crosses, what is refused, and how a VM ends."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from saros.model.errors import CodeError, Error
from saros_lua.sandbox.chunks import compile_library, compile_user, library_chunk
from saros_lua.sandbox.pool import VmPool
from saros_lua.sandbox.vm import HEADROOM, MAX_VALUE, SANDBOX, Limits, Stopped, Vm

Call = Callable[..., Any]

QUICK = Limits(instructions=2_000_000, memory=16 << 20)
CALL = compile_library(
    rb"""
local rt = ...
return {
  host = function(...) return rt.host(...) end,
  echo = function(...) return ... end,
  spin = function() while true do end end,
  fail = function() rt.raw.error("broken", 0) end,
  object = function() rt.raw.error({}) end,
  fill = function() local t = {} while true do t[#t + 1] = {} end end,
  hold = function(n) KEPT = KEPT or {} KEPT[#KEPT + 1] = rt.raw.string.rep("x", n) end,
  tostring = function() return rt.env.tostring(rt.raw.setmetatable({}, { __tostring = function()
    while true do rt.env.pcall(function() while true do end end) end end })) end,
  python = function(...)
    local found = {}
    for _, value in rt.raw.ipairs({ ... }) do found[#found + 1] = rt.raw.type(value) end
    return rt.raw.table.concat(found, ",")
  end,
}
""",
    "call",
)


def vm_with(host: Any = None, limits: Limits = QUICK) -> tuple[Vm, Any]:
    vm = Vm(workflow=True, host=host, limits=limits, boot=SANDBOX)
    vm.loaders["library"] = lambda name: CALL if name == "call" else library_chunk(name)
    return vm, vm.fn("library")(b"call")


def test_values_cross_as_bytes_and_numbers() -> None:
    vm, lua = vm_with()
    assert vm.call(lua[b"echo"], b"\x00\xff", "é", 2**63 - 1, 1.5, True, None, b"end") == (
        b"\x00\xff",
        "é".encode(),
        2**63 - 1,
        1.5,
        True,
        None,
        b"end",
    )
    assert vm.call(lua[b"echo"], 1) == 1
    assert vm.call(lua[b"echo"]) is None


@pytest.mark.parametrize("value", [object(), [1], {}, print, 2**63, b"x" * (MAX_VALUE + 1)])
def test_nothing_else_crosses(value: Any) -> None:
    vm, lua = vm_with()
    with pytest.raises(Error):
        vm.call(lua[b"echo"], value)
    assert vm.call(lua[b"echo"], b"alive") == b"alive"


def test_the_host_answers() -> None:
    calls: list[Any] = []

    def host(name: str, *args: Any) -> Any:
        calls.append((name, args))
        return {"one": 1, "two": ("a", b"b"), "none": None}[name]

    vm, lua = vm_with(host)
    assert vm.call(lua[b"host"], "one", b"x", 2) == (True, 1)
    assert vm.call(lua[b"host"], "two") == (True, b"a", b"b")
    assert vm.call(lua[b"host"], "none") == (True, None)
    assert calls[0] == ("one", (b"x", 2))


def test_what_the_host_raises_becomes_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def host(name: str) -> Any:
        if name == "refused":
            raise Error("no such name", "NotFound")
        if name == "object":
            return object()
        if name == "large":
            return b"x" * (MAX_VALUE + 1)
        raise ValueError("boom")

    vm, lua = vm_with(host)
    assert vm.call(lua[b"host"], "refused") == (False, b"NotFound", b"no such name")
    assert vm.call(lua[b"host"], "object")[:2] == (False, b"Internal")
    assert vm.call(lua[b"host"], "large")[:2] == (False, b"Invalid")
    assert not caplog.records
    assert vm.call(lua[b"host"], "bug") == (False, b"Internal", b"bug: ValueError: boom")
    assert "host function bug failed" in caplog.text
    bare, lua = vm_with(None)
    assert bare.call(lua[b"host"], "x")[:2] == (False, b"Internal")


def test_an_interrupt_in_the_host_comes_through() -> None:
    def host(name: str) -> Any:
        raise KeyboardInterrupt

    vm, lua = vm_with(host)
    with pytest.raises(KeyboardInterrupt):
        vm.call(lua[b"host"], "x")


def test_no_python_object_is_in_the_vm() -> None:
    vm, lua = vm_with(lambda name: (b"x", 1, None, True))
    assert vm.call(lua[b"python"], b"a", 1, 2.0, True) == b"string,number,number,boolean"


@pytest.mark.parametrize(("name", "reason"), [("spin", "budget"), ("fill", "memory"), ("tostring", "budget")])
def test_a_runaway_outside_of_coroutines_is_stopped(name: str, reason: str) -> None:
    vm, lua = vm_with()
    with pytest.raises(Stopped) as caught:
        vm.call(lua[name.encode()])
    assert caught.value.reason == reason


def test_an_error_of_the_library_is_internal() -> None:
    vm, lua = vm_with()
    with pytest.raises(Error, match="broken") as caught:
        vm.call(lua[b"fail"])
    assert not isinstance(caught.value, Stopped)
    with pytest.raises(Error):
        vm.call(lua[b"object"])


def test_values_are_refused_when_memory_is_short() -> None:
    """Near the hard limit a push would end the process: it must not be tried (pitfall C10)."""
    vm, lua = vm_with(limits=Limits(memory=8 << 20))
    for _ in range(3):
        vm.call(lua[b"hold"], 11 << 20)
    assert vm.memory + MAX_VALUE > (8 << 20) + HEADROOM - (1 << 20)
    with pytest.raises(Stopped, match="more than 8 MiB"):
        vm.call(lua[b"echo"], b"x" * (MAX_VALUE - 100))
    assert vm.call(lua[b"echo"], b"alive") == b"alive"


def test_large_values_fit_into_the_headroom() -> None:
    limits = QUICK._replace(memory=2 * MAX_VALUE)
    vm, lua = vm_with(lambda name: b"y" * (MAX_VALUE - 100), limits)
    for _ in range(5):
        assert vm.call(lua[b"echo"], b"x" * (MAX_VALUE - 100)) is not None
        assert vm.call(lua[b"host"], "large")[0] is True


def test_syntax_errors_have_a_place() -> None:
    with pytest.raises(CodeError) as caught:
        compile_user(b"local x = 1\nlocal = 2", "app/order.lua")
    assert caught.value.where == "app/order.lua:2"
    assert "expected near '='" in caught.value.message
    long = "a/" * 60 + "x.lua"
    with pytest.raises(CodeError) as caught:
        compile_user(b"x x", long)
    assert caught.value.where == f"{long}:1"


def test_bytecode_is_no_source() -> None:
    with pytest.raises(CodeError):
        compile_user(compile_user(b"return 1", "x.lua"), "y.lua")


@pytest.mark.parametrize(
    "source", [b"(" * 100_000, b"x = " + b"{" * 100_000, b"return " + b"not " * 100_000 + b"1"]
)
def test_deep_sources_are_errors(source: bytes) -> None:
    with pytest.raises(CodeError):
        compile_user(source, "deep.lua")


def test_scripts_may_start_with_a_mark() -> None:
    assert compile_user(b"\xef\xbb\xbfreturn 1", "a.lua")
    assert compile_user(b"#!/usr/bin/lua\nreturn 1", "b.lua")
    assert compile_user(b"return 1", "same.lua") is compile_user(b"return 1", "same.lua")


def test_environments_of_libraries_share_the_globals() -> None:
    kit = compile_library(
        rb"""
local rt = ...
return function(first, second)
  local env = rt.new_env({ modules = {}, imports = {} }, function(name) return "got " .. name end)
  rt.compile_user(first, env)()
  return rt.compile_user(second, rt.env)()
end
""",
        "envs",
    )
    vm = Vm(workflow=True, boot=SANDBOX, limits=QUICK)
    vm.loaders["library"] = lambda name: kit if name == "envs" else library_chunk(name)
    run = vm.fn("library")(b"envs")
    first = compile_user(
        b"shared = require('json') assert(_G.shared == shared) assert(string.rep)", "lib.lua"
    )
    assert vm.call(run, first, compile_user(b"return shared", "main.lua")) == b"got json"


def test_a_pool_renews_vms() -> None:
    pool = VmPool(size=1, boot=SANDBOX)
    first, second = pool.take(True), pool.take(True)
    assert first is not second
    leak = compile_user(b"leaked = 1 string.leaked = 2 table.insert = nil return leaked", "a.lua")
    run = first.fn("compile_user")
    assert first.call(run(leak, first.rt[b"env"])) == 1
    pool.give_back(first)
    pool.give_back(second)
    assert len(pool) == 1
    assert not pool.take(False).workflow
    again = pool.take(True)
    assert again is first
    look = compile_user(
        b"return tostring(leaked) .. tostring(string.leaked) .. tostring(('x').leaked) .. type(table.insert)",
        "b.lua",
    )
    assert again.call(again.fn("compile_user")(look, again.rt[b"env"])) == b"nilnilnilfunction"


def test_the_last_programs_limits_do_not_stop_a_renewal() -> None:
    # The hook has run once and has set a deadline, which has passed when the VM is used again.
    vm = Vm(workflow=False, limits=Limits(instructions=50_000, milliseconds=20), boot=SANDBOX)
    busy = compile_user(b"for i = 1, 5000 do end", "a.lua")
    vm.call(vm.fn("compile_user")(busy, vm.rt[b"env"]))
    end = time.thread_time() + 0.12
    while time.thread_time() < end:
        pass
    for _ in range(20):
        vm.renew()


def test_a_closed_vm_is_freed_though_its_host_knows_it() -> None:
    class Owner:
        def __init__(self) -> None:
            self.vm = Vm(workflow=True, host=self.answer, boot=SANDBOX)

        def answer(self, name: str) -> None: ...

    owner = Owner()
    gone = weakref.ref(owner)
    owner.vm.close()
    del owner
    gc.collect()
    assert gone() is None


def test_a_vm_is_freed_without_close_when_nothing_refers_back(make: Call) -> None:
    vm = make()
    gone = weakref.ref(vm)
    del vm
    gc.collect()
    assert gone() is None
