"""What a program tells about itself while it waits."""

from __future__ import annotations

from saros.interfaces.program import Inspection
from saros.model import values
from saros.model.records import START, unpack
from saros_lua.modules import SURFACE
from saros_lua.sandbox.chunks import compile_user
from saros_lua.sandbox.vm import Vm

CODE = b"""
local workflow = require("workflow")
return function()
  workflow.on_query("state", function() end)
  workflow.on_update("add", function() end)
  process.listen("approve")
  local function wait()
    channel.new(0):receive()
  end
  coroutine.spawn(wait)
  coroutine.spawn(function() end)
  require("time").sleep("1h")
end
"""
MODULES = "\n".join(module.name for module in SURFACE).encode()


def inspected(code: bytes) -> Inspection:
    source = (1, compile_user(code, "test.lua"), b"", MODULES, b"", b"app:test")
    vm = Vm(workflow=True, host=lambda name, *args: source if name == "source" else None)
    try:
        vm.call(vm.fn("advance"), 0, 0, START, 0, values.encode({"entry": "app:test"}), 1)
        return unpack(vm.call(vm.fn("inspect")), Inspection)
    finally:
        vm.close()


def test_a_program_tells_what_it_offers_and_where_it_waits() -> None:
    found = inspected(CODE)
    assert (found.queries, found.updates, found.topics) == (("state",), ("add",), ("approve",))
    main, waiting = found.stacks
    assert main.startswith("test.lua:12: ")
    assert waiting.startswith("test.lua:8: ")


def test_a_program_that_has_ended_waits_nowhere() -> None:
    assert inspected(b"return function() end") == Inspection()
