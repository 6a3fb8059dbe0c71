"""An app with its workers, its console, and a browser."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import saros

INDEX = """\
version: "1.0"
namespace: app
entries:
  - name: worker
    kind: temporal.worker
    task_queue: orders
  - name: order
    kind: workflow.lua
    source: file://order.lua
    method: main
    modules: [workflow, funcs, errors]
  - name: charge
    kind: function.lua
    source: file://charge.lua
    method: main
    modules: [errors]
  - name: nightly
    kind: schedule
    workflow: app:order
    every: 24h
"""
ORDER = """\
local workflow = require("workflow")
local funcs = require("funcs")
local function main(order)
  workflow.on_query("total", function() return order.total or 0 end)
  if order.child then return workflow.exec("app:order", {total = order.total}) end
  if order.flaky then return nil, require("errors").new({message = "flaky", retryable = true}) end
  local hourly = {initial_interval = 3600000, maximum_interval = 3600000}
  local paid, err = funcs.new():with_options({["activity.retry_policy"] = hourly}):call("app:charge", order)
  if err then return nil, err end
  local approved = process.listen("approve"):receive()
  return {paid = paid, approved = approved}
end
return {main = main}
"""
CHARGE = """\
local function main(order)
  if order.away then
    return nil, require("errors").new({message = "the bank is away", kind = "Unavailable", retryable = true})
  end
  if order.refused then return nil, "card refused" end
  return order.total or 0
end
return {main = main}
"""


@pytest.fixture(params=["memory", "redis", "sqlite", "temporal"])
def backend(request: pytest.FixtureRequest) -> str:
    """The URL of each backend."""
    return "memory://" if request.param == "memory" else str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in (("_index.yaml", INDEX), ("order.lua", ORDER), ("charge.lua", CHARGE)):
        (folder / name).write_text(text)
    return folder


NAMES = ("chromium", "chromium-browser", "google-chrome")
DEBIAN = (("update", "-q"), ("install", "-y", "-q", "--no-install-recommends", "chromium"))


def _on_this_machine() -> str | None:
    """A Chromium that is there already."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("SAROS_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _run(*command: str, limit_s: float) -> None:
    """Run an installer; whether it has worked is seen by what is there afterwards."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    env.setdefault("PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT", "10000")
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        subprocess.run(command, check=False, timeout=limit_s, env=env)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium: of this machine, or installed now, by one of the processes that run tests."""
    with (Path(tempfile.gettempdir()) / "saros-tests-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = _on_this_machine()
        if path is None:
            _run(sys.executable, "-m", "playwright", "install", "chromium", limit_s=180)
            path = _on_this_machine()
        if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
            for arguments in DEBIAN:
                _run("apt-get", *arguments, limit_s=600)
            path = _on_this_machine()
    if path is None:
        pytest.fail(
            "the tests of the console need a browser: run `playwright install chromium`, install Debian's "
            "package chromium, or name one in SAROS_TEST_CHROMIUM"
        )
    return path


Served = Callable[..., AbstractAsyncContextManager[tuple[saros.App, str]]]


@pytest.fixture
def served(app_dir: Path) -> Served:
    """Opens the app with workers, and its console on a free port."""
    from saros.model.background import Jobs
    from saros_console.server import Settings, serving

    @asynccontextmanager
    async def serve(backend: str = "memory://", **settings: Any) -> AsyncIterator[tuple[saros.App, str]]:
        async with saros.open(app_dir, backend) as app:
            ready, jobs = serving(app, Settings(**settings)), Jobs()
            jobs.start(ready.serve(), "the console")
            try:
                yield app, ready.url
            finally:
                ready.server.should_exit = True
                await jobs.wait(10.0)
                await jobs.end()

    return serve
