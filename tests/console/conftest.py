"""An app with its workers, its console, and a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
    modules: [workflow, funcs]
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
  local paid, err = funcs.call("app:charge", order)
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


@pytest.fixture
def app_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in (("_index.yaml", INDEX), ("order.lua", ORDER), ("charge.lua", CHARGE)):
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium: of this machine, or installed now."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("SAROS_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    def bundled() -> str | None:
        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
        return path if Path(path).exists() else None

    path = bundled()
    if path:
        return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False, timeout=300)
    path = bundled()
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "chromium"], check=False, timeout=600)
        path = shutil.which("chromium")
    if path is None:
        pytest.fail("the tests of the console need a browser: run `playwright install chromium`")
    return path


Served = Callable[..., AbstractAsyncContextManager[tuple[saros.App, str]]]


@pytest.fixture
def served(app_dir: Path) -> Served:
    """Opens the app with workers, and its console on a free port."""
    from saros.model.background import Jobs
    from saros_console.server import Settings, _Server, _server

    @asynccontextmanager
    async def serve(backend: str = "memory://", **settings: Any) -> AsyncIterator[tuple[saros.App, str]]:
        async with saros.open(app_dir, backend) as app:
            server, sock, url = _server(app, Settings(**settings), _Server)
            jobs = Jobs()
            with sock:
                jobs.start(server.serve(sockets=[sock]), "the console")
                try:
                    yield app, url
                finally:
                    server.should_exit = True
                    await jobs.wait(10.0)
                    await jobs.end()

    return serve
