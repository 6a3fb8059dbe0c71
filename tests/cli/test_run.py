"""`saros run`: a program beside the services, reloading, and a shutdown that always ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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
    """An app with a service, and processes that talk to it."""
    path: str = write({"_index.yaml": INDEX, "cli.lua": CLI, "fails.lua": FAILS, "echo.lua": ECHO})
    return path


def test_exec_runs_a_process_beside_the_services_and_prints_its_result(cli: Any, served: str) -> None:
    result = cli("run", served, "--exec", "app:cli", '{"order": -7}', "--backend", "memory://")
    assert result.status == 0
    assert result.json == {"order": -7}
    assert "app:echoes started" in result.err
    assert "app:echoes stopped" in result.err


def test_exec_reports_a_failure_and_exits_with_1(cli: Any, served: str) -> None:
    result = cli("run", served, "--exec", "app:fails", "--backend", "memory://")
    assert (result.status, result.out) == (1, "")
    assert "Invalid: no such command" in result.err
    assert "app:echoes stopped" in result.err


def test_arguments_without_exec_are_an_error(cli: Any, served: str) -> None:
    result = cli("run", served, "5", "--backend", "memory://")
    assert result.status == 2
    assert "only --exec takes arguments" in result.err


def test_a_process_that_does_not_stop_is_ended() -> None:
    """Even if the main thread never returns, as here."""
    code = "from saros_cli.commands.serve import End\nend = End()\nend.limit_s = 0.2\nend.begin()\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "has not stopped within" in done.stderr


def _until(served: subprocess.Popen[str], text: str) -> list[str]:
    """Read the log up to the line that contains a text, and return these lines."""
    assert served.stderr is not None
    told: list[str] = []
    for line in served.stderr:
        told.append(line)
        if text in line:
            return told
    raise AssertionError(f"{text!r} is not in {told}")


@pytest.mark.parametrize("how", ["file", "signal"])
def test_a_changed_app_is_reloaded(write: Callable[..., str], tmp_path: Path, how: str) -> None:
    listens = """
        local process, channel = require("process"), require("channel")
        return function()
          process.set_options({upgradable = true})
          print("I am NUMBER")
          if process.events():receive().kind == process.event.OUTDATED then process.upgrade() end
        end
    """
    files = {
        "_index.yaml": """
            namespace: app
            entries:
              - {name: says, kind: process.lua, source: file://says.lua, modules: [process, channel]}
              - {name: speaker, kind: process.service, process: says}
        """,
        "says.lua": listens.replace("NUMBER", "1"),
    }
    write(files)
    command = [sys.executable, "-c", "import sys; from saros_cli import main; sys.exit(main())"]
    flags = ["--reload"] if how == "file" else []
    served = subprocess.Popen(
        [*command, "run", str(tmp_path / "app"), "--backend", "memory://", *flags],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )

    def change(text: str) -> None:
        (tmp_path / "app" / "says.lua").write_text(text)
        if how == "signal":
            served.send_signal(signal.SIGHUP)

    with served:
        try:
            _until(served, "I am 1")
            _until(served, "lives in this process only")
            change("return function( this is no Lua")
            told = _until(served, "the previous version stays in use")
            assert any("says.lua:1" in line for line in told)
            change(listens.replace("NUMBER", "3"))
            _until(served, "I am 3")
        finally:
            served.send_signal(signal.SIGTERM)
        assert served.stderr is not None
        served.stderr.read()
    assert served.returncode == 0
