"""Runs snippets of user code in a VM with only the sandbox and the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from saros_lua.sandbox.chunks import compile_library, compile_user, library_chunk
from saros_lua.sandbox.vm import SANDBOX, Limits, Stopped, Vm

BOOT = (*SANDBOX, "errors", "scheduler", "channel")
QUICK = Limits(instructions=2_000_000, milliseconds=1000, memory=16 << 20)

_KIT = compile_library(
    rb"""
local rt = ...
local raw = rt.raw
local lines
rt.print = function(text) lines[#lines + 1] = text end
local clock = 1700000000 * 1000000000
rt.now = function() return clock end
return {
  run = function(bytecode)
    lines = {}
    rt.refuel()
    local main = rt.compile_user(bytecode, rt.env)
    rt.spawn(function() main() end)
    local task, err = rt.run()
    local why, text = rt.killed()
    local outcome, message = "ok", ""
    if why then
      outcome, message = why, text
    elseif task then
      outcome, message = "error", rt.env.tostring(err) .. "\n" .. rt.traceback(task.co)
    end
    return outcome, message, raw.table.concat(lines, "\n")
  end,
}
""",
    "kit",
)


class Ran(NamedTuple):
    """The outcome of a snippet (ok, error, budget, memory), the error's text and the output."""

    outcome: str
    message: str
    printed: str


def make_vm(workflow: bool = True, limits: Limits = QUICK) -> Vm:
    vm = Vm(workflow=workflow, limits=limits, boot=BOOT)
    vm.loaders["library"] = lambda name: _KIT if name == "kit" else library_chunk(name)
    return vm


def run_code(source: str, vm: Vm | None = None, *, workflow: bool = True) -> Ran:
    """Run a snippet as the file app.lua; its line 1 is the first line of `source`."""
    vm = vm or make_vm(workflow)
    kit = vm.fn("library")(b"kit")
    try:
        outcome, message, printed = vm.call(kit[b"run"], compile_user(source.encode(), "app.lua"))
    except Stopped as stopped:  # outside of all coroutines
        return Ran(stopped.reason, stopped.message, "")
    return Ran(outcome.decode(), message.decode(), printed.decode(errors="replace"))


def printed_by(source: str, *, workflow: bool = True) -> str:
    """Return the output of a snippet that ends well."""
    ran = run_code(source, workflow=workflow)
    assert ran.outcome == "ok", ran.message
    return ran.printed


def raised_by(source: str, *, workflow: bool = True) -> str:
    """Return the text of the error that a snippet raises."""
    ran = run_code(source, workflow=workflow)
    assert ran.outcome == "error", ran
    return ran.message


@pytest.fixture
def make() -> Callable[..., Vm]:
    return make_vm


@pytest.fixture
def run() -> Callable[..., Ran]:
    return run_code


@pytest.fixture
def printed() -> Callable[..., str]:
    return printed_by


@pytest.fixture
def raised() -> Callable[..., str]:
    return raised_by
