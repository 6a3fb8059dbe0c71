"""A redis-server, and a summary of the model tests' work at the end of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import RedisServer


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    with server.running():
        yield server.port


@pytest.fixture
def stepped_redis_port(own_clock: Any, tmp_path: Path) -> Iterator[int]:
    """The port of a server with a settable clock."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.environment = own_clock.environment
    with server.running():
        yield server.port


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "model":
                    terminalreporter.write_line(f"model tests: {value}")
