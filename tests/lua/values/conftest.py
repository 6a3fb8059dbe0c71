"""A fixture that runs snippets as library code, in a real VM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.modules import hash as digests
from saros_lua.modules import json, payload
from saros_lua.sandbox.chunks import compile_library, library_chunk
from saros_lua.sandbox.vm import Vm

KIT = b"""
local rt = ...
rt.library("duration")
rt.library("payload")
return {
  run = function(code, ...)
    rt.refuel()
    local snippet, why = rt.load(code, "=snippet", _G)
    if not snippet then
      error(why, 0)
    end
    return snippet(rt, ...)
  end,
}
"""

HOST = {**json.HOST, **payload.HOST, **digests.HOST}


@pytest.fixture(scope="session")
def lua() -> Callable[..., Any]:
    """``lua(source, *args)`` returns the result of the source; its ``...`` is rt and the arguments."""
    vm = Vm(workflow=True, host=lambda name, *args: HOST[name](*args))
    kit = compile_library(KIT, "kit")
    vm.loaders["library"] = lambda name: kit if name == "kit" else library_chunk(name)
    run = vm.fn("library")(b"kit")[b"run"]
    return lambda source, *args: vm.call(run, "local rt = ...\n" + source, *args)
