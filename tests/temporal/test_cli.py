"""The command line on Temporal: what it says when something is wrong, and how a loaded worker stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from saros_cli import main

BIG = '"' + "x" * 2_500_000 + '"'
HUGE = '"' + "x" * 5_000_000 + '"'
FLOW = """
local funcs = require("funcs")
return function(span) return (funcs.call("app:slow", span)) end
"""
SLOW = """
local time = require("time")
return function(span) time.sleep(span) return span end
"""


@pytest.fixture
def root(tmp_path: Path, write_app: Any) -> Path:
    found: Path = write_app(tmp_path / "app", f"cli-{uuid.uuid4().hex[:8]}", flow=FLOW)
    index = found / "_index.yaml"
    text = index.read_text().replace("worker_options: {", "worker_options: {worker_stop_timeout: 500ms, ")
    index.write_text(
        text + "  - {name: slow, kind: function.lua, source: file://slow.lua, modules: [time]}\n"
    )
    (found / "slow.lua").write_text(SLOW)
    return found


LARGE = "a value of 2500004 bytes is too large for Temporal"
TOO_LARGE = "a value of 5000004 bytes is too large for Temporal"
COMMANDS = {
    "lost server": (
        "127.0.0.1:1",
        ["list"],
        "cannot reach the Temporal server 127.0.0.1:1 (namespace default)",
    ),
    "no such host": (
        "host.invalid",
        ["signal", "a", "b"],
        "cannot reach the Temporal server host.invalid:7233 ",
    ),
    "bad address": ("127.0.0.1:99999", ["list"], "127.0.0.1:99999 is not the address of a Temporal server"),
    "wrong namespace": ("ADDRESS/none", ["list"], "the Temporal server ADDRESS has no namespace none"),
    "start there": (
        "ADDRESS/none",
        ["start", "ROOT", "app:flow"],
        "the Temporal server ADDRESS has no namespace",
    ),
    "large start": ("ADDRESS", ["start", "ROOT", "app:flow", BIG], LARGE),
    "huge start": ("ADDRESS", ["start", "ROOT", "app:flow", HUGE], TOO_LARGE),
    "large signal": ("ADDRESS", ["signal", "any", "topic", BIG], LARGE),
    "large query": ("ADDRESS", ["query", "SOME-ID", "name", BIG], LARGE),
    "large update": ("ADDRESS", ["update", "SOME-ID", "name", HUGE], f"Invalid: {TOO_LARGE}"),
    "no worker": (
        "ADDRESS",
        ["query", "SOME-ID", "name"],
        "no worker has answered the query name of SOME-ID",
    ),
    "no workflow": ("ADDRESS", ["signal", "nobody", "topic"], "workflow nobody not found, or it has ended"),
    "no result": ("ADDRESS", ["result", "nobody"], "workflow nobody not found"),
    "bad query": ("ADDRESS", ["list", "--query", "foo = 1"], "bad query 'foo = 1'"),
}


def start(root: Path, span: str, id: str, url: str) -> None:
    assert main(["start", str(root), "app:flow", span, "--id", id, "--backend", url]) == 0


@pytest.mark.parametrize("case", COMMANDS)
def test_what_a_command_says(
    case: str, root: Path, server: Any, shared: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from saros_temporal.client import messages

    monkeypatch.setattr(messages, "QUERY_S", 1.0)
    words = {"ADDRESS": server.address, "ROOT": str(root), "SOME-ID": uuid.uuid4().hex}

    def filled(template: str) -> str:
        for word, value in words.items():
            template = template.replace(word, value)
        return template

    address, args, text = COMMANDS[case]
    if "SOME-ID" in args:
        start(root, '"1s"', words["SOME-ID"], server.url)
    capsys.readouterr()
    assert main([*map(filled, args), "--backend", f"temporal://{filled(address)}"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith("note: ")]  # that it takes long
    assert lines[0].startswith(f"error: {filled(text)}")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loaded_worker_drains_in_time(number: signal.Signals, root: Path, server: Any, shared: Any) -> None:
    command = [sys.executable, "-c", "import sys, saros_cli; sys.exit(saros_cli.main())"]
    command += ["run", str(root), "--backend", server.url]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert running.stderr is not None
    try:
        for index in range(20):
            span = '"100ms"' if index % 2 else '"1h"'
            assert (
                main(
                    ["start", str(root), "app:flow", span, "--id", f"{root}-{index}", "--backend", server.url]
                )
                == 0
            )
        assert main(["result", f"{root}-19", "--timeout", "60s", "--backend", server.url]) == 0
        stopped = time.monotonic()
        running.send_signal(number)
        _, text = running.communicate(timeout=90)
        took = time.monotonic() - stopped
    finally:
        running.kill()
        running.stderr.close()
    assert running.returncode == 0, text
    assert re.search(r"info +stopped\n$", text), text
    assert "Traceback" not in text
    assert took < 45  # a grace of 10 s, and room for a loaded machine
