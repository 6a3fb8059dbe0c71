"""Workers stop within their grace, whatever the server does; and they wait for one that is not up yet."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_testing import eventually, lua_app

BOUND_S = 40.0
"""The grace, and what handing over may take; on a loaded machine."""


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"naps": "time.sleep('1h')"})


def run(app: Path, url: str, *options: str) -> subprocess.Popen[str]:
    code = "import sys; from saros_cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", str(app), "--backend", url, *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})


def until(served: subprocess.Popen[str], text: str) -> list[str]:
    """The lines up to one with a text."""
    assert served.stderr is not None
    lines: list[str] = []
    for line in served.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def test_run_waits_for_a_server_that_is_not_up_yet(own_server: Any, app_path: Path) -> None:
    own_server.kill()
    with run(app_path, own_server.url(), "--wait", "60s") as served:
        lines = [*until(served, "trying again for at most"), *until(served, "trying again for at most")]
        own_server.start()
        lines += until(served, "task queues")
        served.send_signal(signal.SIGTERM)
        rest = served.communicate(timeout=BOUND_S)[1]
    assert served.returncode == 0
    assert "Traceback" not in "".join(lines) + rest
    waits = [line for line in lines if "trying again for at most" in line]
    assert all("cannot reach Redis at localhost" in line for line in waits)


def test_run_does_not_wait_when_it_is_told_so(own_server: Any, app_path: Path) -> None:
    own_server.kill()
    with run(app_path, own_server.url(), "--wait", "0") as served:
        rest = served.communicate(timeout=BOUND_S)[1]
    assert served.returncode == 1
    assert "trying again for at most" not in rest
    assert "cannot reach Redis" in rest


def test_sigterm_ends_the_wait(own_server: Any, app_path: Path) -> None:
    own_server.kill()
    with run(app_path, own_server.url(), "--wait", "10m") as served:
        until(served, "trying again for at most")
        served.send_signal(signal.SIGTERM)
        served.communicate(timeout=BOUND_S)
    assert served.returncode == 1


@pytest.mark.parametrize("outage", ["paused", "killed"])
def test_sigterm_ends_a_worker_whose_server_is_away(own_server: Any, app_path: Path, outage: str) -> None:
    url = own_server.url(lease="5s")
    with run(app_path, url) as served:
        until(served, "task queues")

        async def begin() -> None:
            async with saros.open(app_path, backend=url, workers=False) as app:
                naps = [await app.start("app:naps") for _ in range(20)]

                async def begun() -> bool:
                    return all([(await each.describe()).history_length >= 2 for each in naps])

                await eventually(begun, "all sleep")

        asyncio.run(begin())
        if outage == "paused":
            own_server.pause()
        else:
            own_server.kill()
        time.sleep(0.5)
        began = time.monotonic()
        served.send_signal(signal.SIGTERM)
        rest = served.communicate(timeout=2 * BOUND_S)[1]
        took = time.monotonic() - began
        if outage == "paused":
            own_server.resume()
    assert served.returncode == 0, rest
    assert took < BOUND_S
    assert "Traceback" not in rest


def test_workers_that_are_stopped_at_once(own_server: Any, app_path: Path) -> None:
    """Whatever they are about when they are stopped: joining, subscribing, reading."""

    async def main() -> None:
        for number in range(12):
            began = time.monotonic()
            async with saros.open(app_path, backend=own_server.url()):
                await asyncio.sleep(number * 0.004)
            assert time.monotonic() - began < BOUND_S

    asyncio.run(main())
