"""A program that blocks in C: its process ends and says so; what it held goes on, and it is not tried for ever.

The child's ``hash.sha256`` never comes back, as a fault in a library might: it waits in C, with Python's lock let
go.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import Error
from saros_testing import lua_app
from saros_testing.cases import eventually
from saros_watchdog.watchdog import STATUS

SILENCE = "1s"
# What a child process runs: `saros`, with a host function that blocks as long as a file is there.
RUN = """
import ctypes, os, sys
from saros_cli import main
from saros_lua.modules import hash as digests

pause = ctypes.CDLL(None).pause

def stuck(*given):
    while os.path.exists(sys.argv[1]):
        pause()
    return b""

digests.HOST["hash_digest"] = stuck
sys.exit(main(sys.argv[2:]))
"""
STUCK = 'local _ = require("hash").sha256("data") return "done"'
FINE = 'time.sleep("200ms") return funcs.call("app:echo", 5)'


class Site:
    """An app, whose code blocks while the file `block` is there, and worker processes for it."""

    def __init__(self, path: Path, url: str) -> None:
        self.path, self.url = path, url
        self.block = path / "block"
        self.block.touch()
        self.script = path / "run.py"
        self.script.write_text(textwrap.dedent(RUN))
        self.workers: list[subprocess.Popen[str]] = []
        self.app = lua_app(
            path / "app",
            workflows={
                "stuck": STUCK,
                "fine": FINE,
                "caller": 'local v, err = funcs.call("app:stuck_call") return {v == nil, err and err:message()}',
            },
            functions={"stuck_call": STUCK, "echo": "return input"},
        )

    def worker(self) -> subprocess.Popen[str]:
        argv = [
            sys.executable,
            str(self.script),
            str(self.block),
            "run",
            str(self.app),
            "--backend",
            self.url,
        ]
        argv += ["--watchdog", SILENCE]
        worker = subprocess.Popen(
            argv, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
        )
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.wait()
            if worker.stderr is not None:
                worker.stderr.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(url: str) -> Site:
        made.append(Site(tmp_path, url))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def ended(worker: subprocess.Popen[str]) -> str:
    """What a worker says when it ends by itself."""
    _, told = await asyncio.to_thread(worker.communicate, timeout=180)
    assert worker.returncode == STATUS, told
    lines = [line for line in told.splitlines() if line.startswith("saros: ")]
    assert len(lines) == 1, told
    return lines[0]


async def result_of(handle: saros.Handle, limit: float = 120) -> Any:
    return await handle.result(limit)


@pytest.fixture(params=["redis", "temporal"])
def server(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def test_a_workflow_that_blocks_ends_two_workers_and_then_waits(server: str, site: Any) -> None:
    here = site(server)

    async def body() -> None:
        async with saros.open(here.app, server, workers=False) as app:
            order = await app.start("app:stuck", id="stuck-1")
            for number in (1, 2):
                line = await ended(here.worker())
                assert "app:stuck stuck-1 has blocked its worker" in line
                assert f"status {STATUS}" in line
                assert ("waits to be released" in line) or number == 1
            third = here.worker()
            fine = await app.start("app:fine", id="fine-1")
            assert await result_of(fine) == 5, "others go on"
            if server.startswith("redis"):
                assert "waits to be released" in ((await order.describe()).problem or "")
            assert third.poll() is None
            here.block.unlink()

            async def released() -> bool:
                try:
                    await order.release()
                except Error:
                    return False
                return True

            await eventually(released, "a release", 40)
            assert await result_of(order) == "done"

    asyncio.run(body())


def test_a_call_that_blocks_fails(server: str, site: Any) -> None:
    here = site(server)

    async def body() -> None:
        async with saros.open(here.app, server, workers=False) as app:
            order = await app.start("app:caller", id="caller-1")
            assert "app:stuck_call" in await ended(here.worker())
            here.worker()
            value, message = await result_of(order)
            assert value is True
            assert "has blocked its worker" in message

    asyncio.run(body())


def test_in_memory_it_is_told_what_is_lost(site: Any) -> None:
    here = site("memory://")
    argv = [sys.executable, str(here.script), str(here.block), "start", str(here.app), "app:stuck", "--wait"]
    argv += ["--id", "stuck-1"]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == STATUS, found.stderr
    (line,) = [line for line in found.stderr.splitlines() if line.startswith("saros: ")]
    assert "app:stuck stuck-1 has blocked its worker for 10" in line
    assert "Lost with it: 1 running workflow (stuck-1)." in line


def test_a_stopped_process_is_not_to_blame(site: Any) -> None:
    """Time while the whole process is stopped does not count as silence."""
    here = site("memory://")
    worker = here.worker()
    assert worker.stderr is not None
    while "task queues" not in worker.stderr.readline():
        pass
    worker.send_signal(signal.SIGSTOP)
    asyncio.run(asyncio.sleep(1.5))
    worker.send_signal(signal.SIGCONT)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
