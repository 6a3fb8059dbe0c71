"""Traces: one trace leads from an HTTP request to a signal of another workflow; every span is exported once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from saros.app.opening import open_app
from saros.model.execution import new_id
from saros.testing import eventually, lua_app
from saros_http import serving

MAIN = """
local process = require("process")
local charged = funcs.call("app:charge", input.waiter)
local child = require("workflow").exec("app:child", charged)
local ok, err = process.send(input.waiter, "hello", child)
return ok
"""
FLAKY = """
return { main = function(waiter)
  if require("activity").info().attempt < 2 then
    return nil, require("errors").new{message = "no route", kind = "Unavailable"}
  end
  return 1
end }
"""
WAITER = 'local message = require("process").inbox():receive() return message.topic and true'
PLACE = """
local http, process = require("http"), require("process")
return { main = function()
  local input = http.request():body_json()
  local pid = process.with_options({["temporal.workflow.id"] = input.id}):spawn("app:main", "app:worker", input)
  return http.response():json({pid = pid})
end }
"""
WEB = (
    {"name": "web", "kind": "http.service", "addr": "127.0.0.1:0"},
    {"name": "router", "kind": "http.router", "prefix": "/", "meta": {"server": "web"}},
    {
        "name": "place",
        "kind": "function.lua",
        "source": "file://place.lua",
        "modules": ["http", "process"],
    },
    {
        "name": "place.post",
        "kind": "http.endpoint",
        "method": "POST",
        "path": "/orders",
        "func": "place",
        "meta": {"router": "router"},
    },
)


def _app(path: Path, **more: Any) -> Path:
    return lua_app(
        path,
        workflows={"main": MAIN, "child": "return input + 1", "waiter": WAITER},
        functions={"charge": FLAKY},
        entries=WEB,
        files={"place.lua": PLACE.lstrip()},
        **more,
    )


@pytest.fixture(params=["memory", "redis", "temporal"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


def _is_child(span: Any, parent: Any) -> bool:
    return bool(span.trace_id == parent.trace_id and span.parent_span_id == parent.span_id)


def test_one_trace_from_http_to_a_signal(url: str, receiver: Any, tmp_path: Path) -> None:
    id = f"traced-{new_id()[:13]}"

    async def scenario() -> None:
        async with open_app(_app(tmp_path), url) as app:
            urls = await serving(app)
            waiter = await app.start("app:waiter", id=f"{id}-waiter")
            body = {"id": id, "waiter": waiter.pid}
            async with httpx.AsyncClient(base_url=urls["app:web"]) as client:
                answer = await client.post("/orders", json=body)
            assert answer.status_code == 200, answer.text
            assert await app.get(id).result(timeout=30)
            assert await waiter.result(timeout=30)
            await eventually(lambda: len(receiver.named("RunWorkflow:app:waiter")) == 1, "the last span")
            await eventually(lambda: len(receiver.named("RunWorkflow:app:child")) == 1, "the child's span")
            await eventually(lambda: len(receiver.named("POST /orders")) == 1, "the request's span")

    asyncio.run(scenario())
    (request,) = receiver.named("POST /orders")
    (start,) = receiver.named("StartWorkflow:app:main")
    (run,) = receiver.named("RunWorkflow:app:main")
    (activity,) = receiver.named("StartActivity:app:charge")
    attempts = receiver.named("RunActivity:app:charge")
    (child,) = receiver.named("RunWorkflow:app:child")
    (waiter,) = receiver.named("RunWorkflow:app:waiter")
    assert _is_child(start, request)
    assert _is_child(run, start)
    assert _is_child(activity, run)
    assert len(attempts) == 2
    assert all(_is_child(attempt, activity) for attempt in attempts)
    assert _is_child(child, run)
    assert waiter.trace_id != run.trace_id
    assert [(link.trace_id, link.span_id) for link in waiter.links] == [(run.trace_id, run.span_id)]


def test_a_replay_writes_no_span_twice(url: str, receiver: Any, tmp_path: Path) -> None:
    """Without a cache, every workflow task replays; on backends with a server, two deployments share the work."""
    id = f"traced-{new_id()[:13]}"
    main = 'for _ = 1, 3 do funcs.call("app:note") time.sleep(5) end return true'
    path = lua_app(
        tmp_path,
        workflows={"main": main},
        functions={"note": "return true"},
        worker_options={"max_cached_workflows": 1},
    )
    shared = "memory://otel-twice" if url.startswith("memory") else url

    async def scenario() -> None:
        async with open_app(path, shared) as app, open_app(path, shared):
            handles = [await app.start("app:main", id=f"{id}-{number}") for number in range(6)]
            for handle in handles:
                assert await handle.result(timeout=40)
            await eventually(lambda: len(receiver.named("RunWorkflow:app:main")) >= 6, "their spans")

    asyncio.run(scenario())
    runs = receiver.named("RunWorkflow:app:main")
    assert len(runs) == 6
    assert len({run.span_id for run in runs}) == 6
    assert len(receiver.named("StartActivity:app:note")) == 18


LONG = """
local w = require("workflow")
w.on_update("add", function() return 1 end)
funcs.call("app:note")
w.exec("app:child", 1)
process.inbox():receive()
return true
"""


def test_a_linked_run_has_its_own_trace_and_updates_are_links(
    url: str, receiver: Any, tmp_path: Path
) -> None:
    id = f"linked-{new_id()[:13]}"
    path = lua_app(
        tmp_path,
        workflows={"main": LONG, "child": "return 1"},
        functions={"note": "return true"},
        meta={"main": {"trace": "linked"}},
    )

    async def scenario() -> None:
        async with open_app(path, url) as app:
            handle = await app.start("app:main", id=id)
            assert await handle.update("add") == 1
            await handle.signal("go")
            assert await handle.result(timeout=60)
            for name in ("RunWorkflow:app:main", "RunWorkflow:app:child", "RunActivity:app:note"):
                await eventually(lambda name=name: len(receiver.named(name)) == 1, f"the span {name}")
            await eventually(lambda: len(receiver.named("UpdateWorkflow")) == 1, "the update's span")

    asyncio.run(scenario())
    (start,) = receiver.named("StartWorkflow:app:main")
    (update,) = receiver.named("UpdateWorkflow")
    (run,) = receiver.named("RunWorkflow:app:main")
    (activity,) = receiver.named("StartActivity:app:note")
    (attempt,) = receiver.named("RunActivity:app:note")
    (child,) = receiver.named("RunWorkflow:app:child")
    assert run.trace_id != start.trace_id
    assert run.parent_span_id == b""
    links = [(link.trace_id, link.span_id) for link in run.links]
    assert (start.trace_id, start.span_id) in links
    assert (update.trace_id, update.span_id) in links
    assert _is_child(activity, run)
    assert _is_child(attempt, activity)
    assert _is_child(child, run)
