"""Code that keeps Python's lock, so that no thread of its process runs: another process ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_testing import lua_app
from saros_testing.cases import eventually
from saros_watchdog.watchdog import STATUS

PYTHON = """
import ctypes, os, re, time

HERE = os.path.dirname(__file__)
sleepy = ctypes.PyDLL(None).pause

def match(how):
    if os.path.exists(os.path.join(HERE, "block")):
        re.match("(a+)+$", "a" * 60 + "!") if how == "works" else [sleepy() for _ in iter(int, 1)]
    return "done"

async def match_soon(how):
    return match(how)

async def sleeps(how):
    if os.path.exists(os.path.join(HERE, "block")):
        time.sleep(600)
    return "done"

def wait(seconds):
    time.sleep(seconds)
"""
LINE = 8
# What runs `saros` with a host function of Lua that keeps the lock as long as a file is there.
RUN = """
import ctypes, os, sys
from saros_cli import main
from saros_lua.modules import hash as digests

pause = ctypes.PyDLL(None).pause

def stuck(*given):
    while os.path.exists(sys.argv[1]):
        pause()
    return b""

digests.HOST["hash_digest"] = stuck
sys.exit(main(sys.argv[2:]))
"""


class Site:
    """An app whose Python code blocks while the file `block` is there, and worker processes for it."""

    def __init__(self, path: Path, url: str) -> None:
        self.url = url
        self.app = lua_app(
            path / "app",
            workflows={
                "direct": "local v, err = funcs.call(input[1], input[2]) return err and err:message() or v",
                "fine": 'return funcs.call("app:wait", 0.1) == nil',
                "stuck": 'local _ = require("hash").sha256("data") return "done"',
            },
            functions={"nested": 'return funcs.call("app:match", input)'},
            python={each: f"keeps:{each}" for each in ("match", "match_soon", "sleeps", "wait")},
            files={"keeps.py": PYTHON},
        )
        self.block = self.app / "block"
        self.block.touch()
        self.script = path / "run.py"
        self.script.write_text(RUN)
        self.workers: list[subprocess.Popen[str]] = []

    def run(self, *argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.script), str(self.block), argv[0], str(self.app), *argv[1:]]
        command += ["--backend", self.url] if self.url else []
        env = {**os.environ, "NO_COLOR": "1"}
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.workers.append(worker)
        return worker

    def worker(self, silence: str = "1s") -> subprocess.Popen[str]:
        return self.run("run", "--watchdog", silence)

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.communicate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(url: str) -> Site:
        made.append(Site(tmp_path, url))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def ended(worker: subprocess.Popen[str], status: int = -signal.SIGKILL) -> str:
    _, told = await asyncio.to_thread(worker.communicate, timeout=240)
    assert worker.returncode == status, told
    lines = [line for line in told.splitlines() if line.startswith("saros: ")]
    assert len(lines) == 1, told
    return lines[0]


@pytest.mark.parametrize(
    ("server", "entry", "how"),
    [
        ("redis", "app:match", "works"),
        ("redis", "app:match", "sleeps"),
        ("redis", "app:match_soon", "works"),
        ("temporal", "app:nested", "works"),
    ],
)
def test_a_call_that_keeps_the_lock_fails_and_ends_its_worker(
    request: pytest.FixtureRequest, server: str, site: Any, entry: str, how: str
) -> None:
    """The same process detects the lock on every backend; each backend records it in its own way."""
    server = request.getfixturevalue(f"{server}_url")
    here = site(server)

    async def body() -> None:
        async with saros.open(here.app, server, workers=False) as app:
            order = await app.start("app:direct", [entry, how], id="keeper-1")
            line = await ended(here.worker())
            assert "of the workflow keeper-1 has blocked its worker" in line
            assert f" at keeps.py:{LINE}" in line
            assert "has failed with that error" in line
            here.worker()
            assert "has blocked its worker" in await order.result(180)
            assert await (await app.start("app:fine")).result(180) is True, "others go on"

    asyncio.run(body())


def test_a_workflow_that_keeps_the_lock_ends_two_workers_and_then_waits(redis_url: str, site: Any) -> None:
    here = site(redis_url)

    async def body() -> None:
        async with saros.open(here.app, redis_url, workers=False) as app:
            order = await app.start("app:stuck", id="stuck-1")
            for said in ("It is tried once more", "This is the second time, so it waits to be released"):
                line = await ended(here.worker())
                assert "app:stuck stuck-1 has blocked its worker" in line
                assert said in line
            third = here.worker()
            assert await (await app.start("app:fine")).result(180) is True, "others go on"
            assert "waits to be released" in ((await order.describe()).problem or "")
            assert third.poll() is None
            here.block.unlink()
            await order.release()
            assert await order.result(180) == "done"

    asyncio.run(body())


def test_an_async_function_that_blocks_the_loop_ends_its_worker(redis_url: str, site: Any) -> None:
    here = site(redis_url)

    async def body() -> None:
        async with saros.open(here.app, redis_url, workers=False) as app:
            order = await app.start("app:direct", ["app:sleeps", ""], id="sleeper-1")
            assert "app:sleeps" in await ended(here.worker(), STATUS)
            here.worker()
            assert "has blocked its worker" in await order.result(180)

    asyncio.run(body())


def test_in_memory_all_is_lost(site: Any) -> None:
    here = site("")
    started = here.run("start", "app:direct", '["app:match", "sleeps"]', "--wait", "--id", "keeper-1")
    line = asyncio.run(ended(started))
    assert "app:match" in line
    assert "keeper-1 has blocked its worker for 10" in line
    assert "in memory is lost" in line


def test_a_worker_that_is_stopped_or_ends_is_not_to_blame(redis_url: str, site: Any) -> None:
    """Time while the process is stopped does not count as holding the lock; the watcher ends with its process."""
    here = site(redis_url)

    async def body() -> None:
        async with saros.open(here.app, redis_url, workers=False) as app:
            worker = here.worker("1s")
            order = await app.start("app:direct", ["app:wait", 2])
            await eventually(lambda: _busy(order), "it has begun", 60)
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(2)
            worker.send_signal(signal.SIGCONT)
            assert await order.result(180) is None
            worker.terminate()
            await asyncio.to_thread(worker.communicate, timeout=60)
            assert worker.returncode == 0

    asyncio.run(body())


async def _busy(order: saros.Handle) -> bool:
    return (await order.describe()).status == "running"
