"""Several `temporal.client` entries: each worker and each workflow uses the server of its own client."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from saros.app.loading import load_app
from saros.model.errors import Error

INDEX = """
namespace: app
entries:
  - {{name: first, kind: temporal.client, address: "{address}", search_attributes: {{near: keyword}}}}
  - {{name: second, kind: temporal.client, address: "{address}", namespace: other, tq_prefix: far-,
     search_attributes: {{far: keyword}}}}
  - {{name: near, kind: temporal.worker, client: first, task_queue: {queue}}}
  - {{name: far, kind: temporal.worker, client: second, task_queue: {queue}}}
  - {{name: ask, kind: function.lua, source: "file://ask.lua"}}
  - name: far_echo
    kind: function.lua
    source: file://ask.lua
    meta: {{temporal: {{activity: {{worker: far}}}}}}
  - name: across
    kind: workflow.lua
    source: file://across.lua
    modules: [funcs, workflow]
    meta: {{temporal: {{workflow: {{worker: near}}}}}}
  - name: here
    kind: workflow.lua
    source: file://flow.lua
    modules: [workflow, funcs]
    meta: {{temporal: {{workflow: {{worker: near}}}}}}
  - name: there
    kind: workflow.lua
    source: file://flow.lua
    modules: [workflow, funcs]
    meta: {{temporal: {{workflow: {{worker: far}}}}}}
"""
FLOW = """
local workflow = require("workflow")
return function(attribute)
  workflow.on_query("attribute", function() return attribute end)
  local ok, err = workflow.attrs({ search = { [attribute] = "yes" } })
  local message = process.inbox():receive()
  local info = workflow.info()
  return { ok or err:message(), info.namespace, message:payload():data(), process.pid() }
end
"""
ASK = """
return function(entry, attribute)
  local pid = process.spawn_monitored(entry, "@", attribute)
  process.send(pid, "go", "from a function")
  local event = process.events():receive()
  local wrong, err = process.send(pid, "go", "too late")
  return { pid, event.from, event.result.value, err:kind() }
end
"""


ACROSS = """
local funcs = require("funcs")
return function()
  local pid = process.spawn_monitored("app:there", "@", "far")
  local sent = process.send(pid, "go", "from a workflow")
  local event = process.events():receive()
  local value, err = funcs.call("app:far_echo", 1)
  return { pid, sent, event.from, event.result.value, err:kind() }
end
"""


def write(root: Path, address: str) -> Path:
    root.mkdir()
    (root / "_index.yaml").write_text(INDEX.format(address=address, queue=f"q-{uuid.uuid4().hex[:8]}"))
    (root / "flow.lua").write_text(FLOW)
    (root / "ask.lua").write_text(ASK)
    (root / "across.lua").write_text(ACROSS)
    return root


def test_each_workflow_is_where_its_workers_client_says(
    run: Any, opener: Any, tmp_path: Path, server: Any, shared: Any
) -> None:
    root = write(tmp_path / "app", server.address)

    async def scenario() -> None:
        async with opener(root, "temporal://") as app, opener(root, "temporal://", workers=False) as client:
            near = await app.start("app:here", "near")
            far = await app.start("app:there", "far")
            assert (near.pid, far.pid) == (f"app:near|{near.id}", f"app:far|{far.id}")
            for handle, word in ((near, "near"), (far, "far")):
                stranger = client.get(handle.id)  # knows nothing but the id
                assert (await stranger.describe()).pid == handle.pid
                assert await stranger.query("attribute") == word
                await stranger.signal("go", word)
                namespace = "default" if word == "near" else "other"
                assert await handle.result(90) == [True, namespace, word, handle.pid]
                assert (await stranger.result(90))[2] == word
                assert (await stranger.history())[0].name == "ExecutionStarted"
            found = await app.call("app:ask", "app:there", "far")
            assert found[0].startswith("app:far|")
            assert found[1:] == [found[0], [True, "other", "from a function", found[0]], "NotFound"]
            listed: list[str] = []
            async with asyncio.timeout(100):
                while len(listed) < 3:
                    listed = [info.pid async for info in client.list()]
                    listed = [pid for pid in listed if pid in (near.pid, far.pid, found[0])]
                    await asyncio.sleep(0.1)
            assert listed == [found[0], far.pid, near.pid]
            only = f"task_queue = '{app.registry.task_queue('app:near')}'"
            assert [info.pid async for info in client.list(only)] == [near.pid]
            with pytest.raises(Error, match="workflow nobody not found"):
                await client.get("nobody").describe()

    run(scenario())


def test_a_url_replaces_the_client_of_the_first_worker(tmp_path: Path, plugins: Any) -> None:
    from saros_temporal.client.namespaces import _places

    root = write(tmp_path / "app", "one:7233")
    deployment = load_app(root, plugins)

    def targets(url: str) -> list[tuple[str, list[str], dict[str, str]]]:
        return [(place.target.url, place.workers, place.wanted) for place in _places(url, deployment)]

    far = ("temporal://one:7233/other", ["app:far"], {"far": "keyword"})
    assert targets("temporal://") == [
        ("temporal://one:7233/default", ["app:near"], {"near": "keyword"}), far]  # fmt: skip
    assert targets("temporal://two/mine") == [
        ("temporal://two:7233/mine", ["app:near"], {"near": "keyword"}), far]  # fmt: skip
    assert targets("temporal://one:7233/other") == [
        ("temporal://one:7233/other", ["app:near", "app:far"], {"near": "keyword", "far": "keyword"})
    ]  # fmt: skip


def test_workflows_reach_those_of_other_clients(
    run: Any, opener: Any, tmp_path: Path, server: Any, shared: Any
) -> None:
    async def scenario() -> Any:
        async with opener(write(tmp_path / "app", server.address), "temporal://") as app:
            return await (await app.start("app:across")).result(90)

    pid, sent, ended, result, refused = run(scenario())
    assert pid.startswith("app:far|")
    assert (sent, ended, refused) == (True, pid, "Invalid")
    assert result == [True, "other", "from a workflow", pid]
