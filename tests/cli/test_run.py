"""`saros run`: a program beside the services, reloading, and the end that comes in any case."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

INDEX = """
namespace: app
entries:
  - {name: host, kind: process.host}
  - {name: cli, kind: process.lua, source: file://cli.lua, modules: [process]}
  - {name: fails, kind: process.lua, source: file://fails.lua, modules: [errors]}
  - {name: echo, kind: process.lua, source: file://echo.lua, modules: [process]}
  - {name: echoes, kind: process.service, process: echo}
"""
CLI = """
local process = require("process")
return function(x)
  assert(process.send("app:echoes", "ping", process.pid(), x))
  return process.inbox():receive():payload():data()
end
"""
FAILS = """
local errors = require("errors")
return function() return nil, errors.new({kind = errors.INVALID, message = "no such command"}) end
"""
ECHO = """
local process = require("process")
return function()
  while true do
    local to, x = process.inbox():receive():payload()
    process.send(to:data(), "pong", x:data())
  end
end
"""


@pytest.fixture
def served(write: Any) -> str:
    """An app with a service, and programs that talk to it."""
    path: str = write({"_index.yaml": INDEX, "cli.lua": CLI, "fails.lua": FAILS, "echo.lua": ECHO})
    return path


def test_exec_runs_a_process_beside_the_services_and_prints_its_result(cli: Any, served: str) -> None:
    result = cli("run", served, "--exec", "app:cli", '{"order": -7}', "--backend", "memory://")
    assert result.status == 0
    assert result.json == {"order": -7}
    assert "app:echoes started" in result.err
    assert "app:echoes stopped" in result.err


def test_exec_tells_a_failure_and_exits_with_1(cli: Any, served: str) -> None:
    result = cli("run", served, "--exec", "app:fails", "--backend", "memory://")
    assert (result.status, result.out) == (1, "")
    assert "Invalid: no such command" in result.err
    assert "app:echoes stopped" in result.err


def test_arguments_without_exec_are_an_error(cli: Any, served: str) -> None:
    result = cli("run", served, "5", "--backend", "memory://")
    assert result.status == 2
    assert "only --exec takes arguments" in result.err


def test_a_process_that_does_not_stop_is_ended() -> None:
    """Whatever holds it up: here the main thread never comes back."""
    code = "from saros.cli.serve import End\nend = End()\nend.limit_s = 0.2\nend.begin()\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "has not stopped within" in done.stderr
