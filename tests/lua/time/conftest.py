"""Runs snippets that use the time module in a real VM, and acts as their driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from saros_lua.modules import time as host_time
from saros_lua.sandbox.vm import CORE, Vm, compile_user

NOW = 1_700_000_000_123_456_789  # 2023-11-14T22:13:20.123456789Z
BOOT = (*CORE, *(name for name in ("facts", "require") if name not in CORE))


class Driver:
    """One execution of a snippet, which has `time` as a local in its line 1.

    :ivar now: the time of the next event, in nanoseconds since 1970.
    :ivar commands: the program's commands so far: (op, ref, body).
    :ivar result: the result of the snippet, once it has returned.
    """

    def __init__(self, code: str, *, workflow: bool = True) -> None:
        self.now = NOW
        self.commands: list[tuple[str, int, Any]] = []
        self.result: Any = None
        source = 'local time = require("time") return function() ' + code + "\nend"
        self._bytecode = compile_user(source.encode(), "test.lua")
        self._vm = Vm(workflow=workflow, host=self._host, boot=BOOT)
        self._deliver("start")

    def pass_time(self, ns: int) -> None:
        self.now += ns

    def fire(self, ref: int) -> None:
        """Settle the timer `ref`."""
        self._deliver("done", ref)

    def cancel(self) -> None:
        """Cancel the program."""
        self._deliver("cancel")

    def _deliver(self, op: str, ref: int = 0) -> None:
        flat = self._vm.call(self._vm.fn("advance"), 0, 0, op, ref, "{}", self.now)
        count, *rest = flat if isinstance(flat, tuple) else (flat,)
        assert count is not False, rest
        for at in range(0, 3 * count, 3):
            name, number, body = rest[at : at + 3]
            self.commands.append((name.decode(), number, json.loads(body)))
        if self.commands and self.commands[-1][0] == "complete":
            self.result = self.commands[-1][2]

    def _host(self, name: str, *args: Any) -> Any:
        if name == "source":
            return 1, self._bytecode, b"", b"time", b"", b"test:snippet"
        if name == "module":
            return None
        return host_time.HOST[name](*args)


@pytest.fixture
def drive() -> Callable[..., Driver]:
    """``drive(code, workflow=True)`` starts a snippet."""
    return Driver


@pytest.fixture
def evaluate() -> Callable[..., Any]:
    """``evaluate(code, workflow=False)`` returns the result of a snippet that does not block."""

    def run(code: str, *, workflow: bool = False) -> Any:
        driver = Driver(code, workflow=workflow)
        assert driver.commands[-1][0] == "complete", driver.commands
        return driver.result

    return run
