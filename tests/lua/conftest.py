"""Fixtures that run Lua code as a separate program, in a real VM, without an app."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from saros.model import values
from saros.model.errors import ErrorData
from saros.model.records import COMPLETE, FAIL, START, unpack
from saros_lua.modules import SURFACE
from saros_lua.modules.hash import derive
from saros_lua.sandbox.chunks import compile_user
from saros_lua.sandbox.vm import Vm

NOW = 1_700_000_000_000_000_000
MODULES = "\n".join(module.name for module in SURFACE).encode()
HOST = {name: function for module in SURFACE for name, function in module.host.items()}

Command = tuple[str, bytes]


def run_program(
    code: str,
    *args: Any,
    workflow: bool = False,
    now: int = NOW,
    logs: list[Any] | None = None,
    beats: list[bytes] | None = None,
    canceled: bool = False,
    **start: Any,
) -> list[Command]:
    """Return the commands of ``main`` with the body `code` until it blocks or ends.

    :param logs: gets (level, message, fields) of each record.
    :param beats: gets the JSON of each heartbeat's details.
    :param start: more fields of the START event.
    """
    own: dict[str, Callable[..., Any]] = {
        "source": lambda id: (1, compile_user(source, "test.lua"), b"", MODULES, b"", b"app:test"),
        "module": lambda name: None,
        "random": os.urandom,
        "random_of_run": lambda secret, draw, count: derive(secret or b"secret", draw, count),
        "is_canceled": lambda: canceled,
    }
    if logs is not None:
        own["log"] = lambda level, text, fields: logs.append(
            (level.decode(), text.decode(), json.loads(fields))
        )
    if beats is not None:
        own["heartbeat"] = beats.append
    source = f"return function(...) {code}\nend".encode()
    body = values.encode({"args": list(args), "entry": "app:test", "pid": "p1", **start})
    vm = Vm(workflow=workflow, host=lambda name, *given: (own.get(name) or HOST[name])(*given))
    try:
        output = vm.call(vm.fn("advance"), 0, 0, START, 0, body, now)
    finally:
        vm.close()
    assert output[0] is not False, output
    return [(output[i].decode(), output[i + 2]) for i in range(1, len(output), 3)]


@pytest.fixture
def commands() -> Callable[..., list[Command]]:
    return run_program


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs code to its end, and returns what it returned or raises what it failed with."""

    def result(code: str, *args: Any, **options: Any) -> Any:
        op, body = run_program(code, *args, **options)[-1]
        if op == FAIL:
            raise values.to_error(unpack(body, ErrorData))
        assert op == COMPLETE
        return values.decode(body)

    return result


@pytest.fixture
def failure(run: Callable[..., Any]) -> Callable[..., tuple[str, bool | None, str]]:
    """Evaluates an expression that returns ``nil, err``; returns the kind, retryable and message of err."""

    def failed(expression: str, *args: Any, **options: Any) -> tuple[str, bool | None, str]:
        code = f"local v, err = {expression} return {{v == nil, err:kind(), err:retryable(), err:message()}}"
        absent, kind, retryable, message = run(code, *args, **options)
        assert absent
        return kind, retryable, message

    return failed
