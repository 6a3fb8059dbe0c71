"""Functions and processes reach those of other nodes; a node that dies leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .test_connections import Sealed

LEASE = {"node_lease": "2s"}

INDEX = """
namespace: app
entries:
  - {{name: worker, kind: temporal.worker, task_queue: {queue}}}
  - {{name: host, kind: process.host}}
  - {{name: server, kind: process.lua, source: "file://code.lua", method: server, modules: [channel]}}
  - {{name: open, kind: function.lua, source: "file://code.lua", method: open}}
  - {{name: talk, kind: function.lua, source: "file://code.lua", method: talk}}
  - {{name: watch, kind: function.lua, source: "file://code.lua", method: watch, modules: [channel]}}
  - {{name: take, kind: function.lua, source: "file://code.lua", method: take}}
"""
CODE = """
local channel = require("channel")

local function server(name)
  if name then assert(process.registry.register(name)) end
  local inbox = process.inbox()
  while true do
    local found = channel.select({ inbox:case_receive(), process.events():case_receive() })
    if found.channel ~= inbox then return "ended" end
    local message = found.value
    if message:topic() == "end" then return message:payload():data() end
    process.send(message:from(), "answer", message:payload():data())
  end
end

local function open(name)
  return process.spawn("app:server", "app:host", name)
end

local function talk(to, ...)
  local answers = {}
  for _, word in ipairs({ ... }) do
    local ok, err = process.send(to, "word", word)
    if not ok then return { err:kind(), err:message() } end
    answers[#answers + 1] = process.inbox():receive():payload():data()
  end
  return answers
end

local function watch(to, how, what)
  process.set_options({ trap_links = true })
  local ok, err = process[how](to)
  if not ok then return err:kind() end
  if what == "end" then process.send(to, "end", 7) elseif what then process[what](to, "1s") end
  local event = process.events():receive()
  local text = event.result.value or event.result.error:message():gsub(" by .*", "")
  return { event.kind, event.from == to, text }
end

local function take(name)
  local ok, err = process.registry.register(name)
  return ok or err:kind()
end

return { server = server, open = open, talk = talk, watch = watch, take = take }
"""
SCRIPT = """
import asyncio, sys
from importlib.metadata import EntryPoint, entry_points
import saros
from saros.app.plugins import GROUP, Plugins

points = list(entry_points(group=GROUP))
if not any(point.name == "temporal" for point in points):
    points.append(EntryPoint("temporal", "saros_temporal.plugin", GROUP))

async def main():
    async with saros.open(
        sys.argv[1], sys.argv[2], plugins=Plugins(points), options={"node_lease": "2s"}
    ) as app:
        print(await app.call("app:open", sys.argv[3]), flush=True)
        while await app.backend.lookup(sys.argv[3]) is None:
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "_index.yaml").write_text(INDEX.format(queue=f"q-{uuid.uuid4().hex[:8]}"))
    (tmp_path / "code.lua").write_text(CODE)
    return tmp_path


class Node:
    """A worker in a process of its own, with a server under a name."""

    def __init__(self, root: Path, url: str) -> None:
        self.name = f"server-{uuid.uuid4().hex[:8]}"
        command = [sys.executable, "-c", SCRIPT, str(root), url, self.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert self.process.stdout is not None
        self.pid = self.process.stdout.readline().strip()
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def node(root: Path, server: Any, shared: Any) -> Iterator[Node]:
    found = Node(root, server.url)
    yield found
    found.kill()


@pytest.mark.parametrize("codec", [False, True])
def test_functions_talk_to_processes_of_other_nodes(run: Any, opener: Any, root: Path, codec: bool) -> None:
    options = {**LEASE, "codec": Sealed()} if codec else LEASE

    async def scenario() -> None:
        async with opener(root, options=options) as one, opener(root, options=options) as two:
            pid = await one.call("app:open")
            assert await two.call("app:talk", pid, "a", "b") == ["a", "b"]
            assert await two.call("app:watch", pid, "monitor", "end") == ["EXIT", True, 7]
            assert await two.call("app:talk", pid, "c") == ["NotFound", f"process {pid} not found"]
            assert await two.call("app:watch", pid, "monitor") == "NotFound"

            pid = await one.call("app:open")
            assert await two.call("app:watch", pid, "monitor", "cancel") == ["EXIT", True, "ended"]
            pid = await one.call("app:open")
            assert await two.call("app:watch", pid, "link", "terminate") == ["LINK_DOWN", True, "terminated"]
            listed = [info.type async for info in two.list() if info.type.startswith("saros.")]
            assert listed == []

    run(scenario())


def test_a_node_that_is_not_there_is_not_found(
    run: Any, opener: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saros_temporal.nodes import node_client

    monkeypatch.setattr(node_client, "PATIENCE_S", 1.0)
    name = f"name-{uuid.uuid4().hex[:8]}"

    async def scenario() -> None:
        async with opener(root, workers=False) as app:
            assert await app.call("app:talk", "@12345678|p1", "a") == [
                "NotFound",
                "process @12345678|p1 not found",
            ]
            for function in ("app:take", "app:open"):  # the owner of the name cannot be reached
                found = await app.call(function, name)
            assert found.startswith("@")
            assert await app.call("app:take", name) == "Invalid"
            assert await app.call("app:watch", "@12345678|p1", "monitor") == "Invalid"
            assert await app.backend.lookup(name) is None

    run(scenario())


def test_a_killed_process_frees_its_names_and_its_watchers_hear_of_it(
    run: Any, opener: Any, root: Path, node: Node, until: Any
) -> None:
    async def watched(app: Any) -> bool:
        return bool(app.backend.nodes._watched)

    async def scenario() -> Any:
        async with opener(root, options=LEASE) as app:
            assert await app.call("app:talk", node.name, "a") == ["a"]
            assert await app.call("app:take", node.name) == "AlreadyExists"
            watching = asyncio.create_task(app.call("app:watch", node.pid, "monitor"))
            await until(lambda: watched(app))
            node.kill()
            killed = time.monotonic()
            assert await asyncio.wait_for(watching, 30) == ["EXIT", True, "its node died"]
            assert await app.backend.lookup(node.name) is None
            assert await app.call("app:take", node.name) is True
            return time.monotonic() - killed

    assert run(scenario()) < 40  # on a busy machine; else it would be noticed after a minute


def test_names_are_free_at_once_after_an_ordinary_end(run: Any, opener: Any, root: Path, until: Any) -> None:
    name = f"name-{uuid.uuid4().hex[:8]}"

    async def scenario() -> None:
        async with opener(root, workers=False) as client:
            async with opener(root) as app:
                pid = await app.call("app:open", name)
                assert await until(lambda: client.backend.lookup(name)) == pid
            assert await client.backend.lookup(name) is None

    run(scenario())


def test_a_presence_that_somebody_ends_begins_again(run: Any, opener: Any, root: Path, until: Any) -> None:
    name = f"name-{uuid.uuid4().hex[:8]}"

    async def scenario() -> None:
        async with opener(root, options=LEASE) as app, opener(root, workers=False) as client:
            pid = await app.call("app:open", name)
            await until(lambda: client.backend.lookup(name))
            await client.get(f"saros-node:{app.host.node[1:]}").terminate("by mistake")
            assert await client.backend.lookup(name) is None
            assert await until(lambda: client.backend.lookup(name)) == pid

    run(scenario())


def test_a_node_that_was_silent_takes_its_names_again(
    run: Any, opener: Any, root: Path, node: Node, until: Any
) -> None:
    async def scenario() -> None:
        async with opener(root, options=LEASE, workers=False) as app:
            node.process.send_signal(signal.SIGSTOP)

            async def free() -> bool:
                return await app.backend.lookup(node.name) is None

            await until(free)
            node.process.send_signal(signal.SIGCONT)
            assert await until(lambda: app.backend.lookup(node.name)) == node.pid

    run(scenario())
