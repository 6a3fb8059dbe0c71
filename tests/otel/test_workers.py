"""Spans of runs whose worker is killed midway, `saros trace`, and the span context of Python activities."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workers import Worker

from saros.app.opening import open_app
from saros.model.execution import new_id
from saros.testing import eventually, lua_app
from saros_cli import main as saros

STEPS = """
import asyncio, pathlib

here = pathlib.Path(__file__)

async def gate(n):
    here.with_name(f"begun-{n}").touch()
    while not here.with_name("open").exists():
        await asyncio.sleep(0.01)
    return n

def carrier():
    from opentelemetry import trace
    context = trace.get_current_span().get_span_context()
    return [format(context.trace_id, "032x"), format(context.span_id, "016x")]

async def slow_carrier():
    await asyncio.sleep(0)
    return carrier()
"""
GATED = """
funcs.call("app:note", input)
local n = funcs.call("app:gate", input)
funcs.call("app:note", n)
return n
"""


def _app(path: Path, **more: Any) -> Path:
    return lua_app(
        path,
        workflows={
            "main": GATED,
            "carriers": 'return {funcs.call("app:carrier"), (funcs.call("app:slow"))}',
            "short": 'funcs.call("app:note", 1) return true',
        },
        functions={"note": "return input"},
        python={"gate": "steps:gate", "carrier": "steps:carrier", "slow": "steps:slow_carrier"},
        files={"steps.py": STEPS},
        **more,
    )


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    found: list[Worker] = []
    yield found
    for each in found:
        each.end()


@pytest.mark.parametrize("cached", [256, 1])
def test_a_killed_worker_leaves_each_span_once(
    cached: int, redis_url: str, receiver: Any, workers: list[Worker], tmp_path: Path
) -> None:
    url = f"{redis_url}{'&' if '?' in redis_url else '?'}lease=1s"
    path = _app(tmp_path / "app", worker_options={"max_cached_workflows": cached})
    id = f"killed-{new_id()[:13]}"

    async def scenario() -> None:
        async with open_app(path, url, workers=False) as app:
            workers.append(Worker(path, url, {}).ready())
            handles = [await app.start("app:main", number, id=f"{id}-{number}") for number in range(4)]
            begun = [path / f"begun-{number}" for number in range(4)]
            await eventually(lambda: all(file.exists() for file in begun), "the gates", 60)
            workers[0].end()
            workers.append(Worker(path, url, {}).ready())
            (path / "open").touch()
            assert [await handle.result(timeout=60) for handle in handles] == [0, 1, 2, 3]
            await eventually(lambda: len(receiver.named("RunWorkflow:app:main")) >= 4, "their spans", 60)
        workers[1].end(15)  # a graceful end exports the spans that are still buffered

    asyncio.run(scenario())
    runs = receiver.named("RunWorkflow:app:main")
    assert len(runs) == len({run.span_id for run in runs}) == 4
    for name, number in (("note", 8), ("gate", 4)):
        spans = receiver.named(f"StartActivity:app:{name}")
        assert len(spans) == len({span.span_id for span in spans}) == number


def test_the_trace_of_a_past_execution(
    redis_url: str, receiver: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    id = f"past-{new_id()[:13]}"

    async def scenario() -> None:
        async with open_app(_app(tmp_path), redis_url) as app:
            assert await (await app.start("app:short", id=id)).result(timeout=60)

    asyncio.run(scenario())
    (run,) = receiver.named("RunWorkflow:app:short")

    assert saros(["trace", id, "--backend", redis_url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert run.trace_id.hex() in lines[0]
    assert "RunWorkflow:app:short" in lines[1]
    assert "StartActivity:app:note" in lines[2]

    assert saros(["trace", id, "--backend", redis_url, "--json"]) == 0
    spans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [span["name"] for span in spans] == ["RunWorkflow:app:short", "StartActivity:app:note"]

    assert saros(["trace", id, "--backend", redis_url, "--export"]) == 0
    again = receiver.named("RunWorkflow:app:short")
    assert [(span.trace_id, span.span_id) for span in again] == [(run.trace_id, run.span_id)] * 2


def test_the_trace_of_a_past_execution_has_its_children(
    sqlite_url: str, receiver: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    id = f"tree-{new_id()[:13]}"
    calls = 'funcs.call("app:fails") '
    path = lua_app(
        tmp_path / "app",
        workflows={
            "main": calls
            + 'require("workflow").exec("app:child", 1) return process.inbox():receive():topic()',
            "child": calls + 'return require("workflow").exec("app:grandchild", 1)',
            "grandchild": "return true",
        },
        functions={"fails": 'return nil, errors.new({kind = "Declined", message = "no"})'},
    )

    async def scenario() -> None:
        async with open_app(path, sqlite_url) as app:
            handle = await app.start("app:main", id=id)
            await handle.signal("go")
            assert await handle.result(timeout=60) == "go"

    asyncio.run(scenario())
    assert saros(["trace", id, "--backend", sqlite_url]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = re.findall(r"(?:Run|Start)\w+:app:\w+", "\n".join(lines))
    assert told == [
        "RunWorkflow:app:main",
        "StartActivity:app:fails",
        "RunWorkflow:app:child",
        "StartActivity:app:fails",
        "RunWorkflow:app:grandchild",
    ]
    assert sum("Declined: no" in line for line in lines) == 2
    assert sum("linked: signal go" in line for line in lines) == 1
    assert lines[0].startswith("part of the trace ")

    known = {span.span_id for span in receiver.spans}
    assert saros(["trace", id, "--backend", sqlite_url, "--export"]) == 0
    assert {span.span_id for span in receiver.spans} == known

    assert saros(["trace", id, "--run-id", "nonsense", "--backend", sqlite_url]) == 1
    assert f"workflow {id} has no run nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("backend", ["memory", "temporal"])
def test_spans_of_libraries_belong_to_the_attempt(
    backend: str, request: pytest.FixtureRequest, receiver: Any, tmp_path: Path
) -> None:
    url = "memory://" if backend == "memory" else request.getfixturevalue("temporal_url")

    async def scenario() -> Any:
        async with open_app(_app(tmp_path), url) as app:
            handle = await app.start("app:carriers", id=f"carriers-{new_id()[:13]}")
            return await handle.result(timeout=60)

    thread, loop = asyncio.run(scenario())
    for found, name in ((thread, "carrier"), (loop, "slow")):
        (attempt,) = receiver.named(f"RunActivity:app:{name}")
        assert found == [attempt.trace_id.hex(), attempt.span_id.hex()]
