"""Gauges of workers and task queues, and counters of the workflow cache."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from saros.app.opening import open_app
from saros.model.execution import new_id
from saros.testing import eventually, lua_app
from saros_otel import backlog

Series = dict[tuple[str, str], float]


def _series(app: Any) -> Series:
    """Map (name of the series, label that tells its kind) to the value."""
    found: Series = {}
    _, text = app.deployment.observer.metrics()
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            kind = sample.labels.get("worker_type") or sample.labels.get("task_type") or ""
            found[sample.name, kind] = found.get((sample.name, kind), 0) + sample.value
    return found


@pytest.fixture(params=["memory", "redis", "temporal"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


def test_queues_slots_and_the_cache(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "EVERY_S", 0.1)
    main = 'for _ = 1, 3 do funcs.call("app:note") time.sleep(5) end return true'
    path = lua_app(tmp_path, workflows={"main": main}, functions={"note": "return true"})

    async def scenario() -> None:
        async with open_app(path, url) as app:
            app.deployment.observer.served()
            handle = await app.start("app:main", id=f"measured-{new_id()[:13]}")
            assert await handle.result(timeout=60)

            def told() -> bool:
                return _series(app).get(("saros_task_queue_pollers", "workflow"), 0) >= 1

            await eventually(told, "the gauges of queues", 60)
            found = _series(app)
            assert found["saros_sticky_cache_hit_total", ""] >= 3
            if not url.startswith("temporal"):  # with a slow server, a workflow task may be replayed
                assert ("saros_sticky_cache_miss_total", "") not in found
                assert found["saros_task_queue_depth", "workflow"] == 0
                assert found["saros_task_queue_age", "activity"] == 0
                assert found["saros_worker_task_slots_available", "ActivityWorker"] > 0
                assert ("saros_worker_task_slots_used", "WorkflowWorker") in found

    asyncio.run(scenario())


def test_parked_runs_and_what_lua_uses(url: str, tmp_path: Path) -> None:
    path = lua_app(tmp_path, workflows={"main": "for _ = 1, 100000 do end time.sleep(1) return true"})
    id = f"measured-{new_id()[:13]}"

    def value(app: Any, name: str) -> float:
        return _series(app).get((name, ""), 0)

    async def scenario() -> None:
        async with open_app(path, url) as app:
            app.deployment.observer.served()
            assert await (await app.start("app:main", id=id)).result(timeout=60)
            assert value(app, "saros_lua_instructions_total") >= 100_000
            assert value(app, "saros_workflow_task_execution_latency_seconds_count") >= 2
            assert value(app, "saros_workflow_task_execution_latency_seconds_sum") > 0
            source = tmp_path / "main.lua"
            good = source.read_text()
            source.write_text("this is not Lua")
            app.deployment.refresh()
            broken = await app.start("app:main", id=f"{id}-broken")
            await eventually(lambda: value(app, "saros_parked_executions") == 1, "it is parked", 60)
            source.write_text(good)
            assert await broken.result(timeout=120)
            await eventually(lambda: value(app, "saros_parked_executions") == 0, "it goes on", 60)

    asyncio.run(scenario())


def test_the_memory_of_live_programs(tmp_path: Path) -> None:
    path = lua_app(tmp_path, workflows={"main": "process.inbox():receive() return true"})

    async def scenario() -> None:
        async with open_app(path, "memory://") as app:
            app.deployment.observer.served()
            handle = await app.start("app:main", id="held")
            name = ("saros_lua_memory", "")
            await eventually(lambda: _series(app).get(name, 0) > 10_000, "its memory is told", 60)
            await handle.signal("go")
            assert await handle.result(timeout=60)
            await eventually(lambda: _series(app)[name] == 0, "it is given back", 60)

    asyncio.run(scenario())


def test_scraped_histograms_are_cumulative() -> None:
    from saros_otel.metrics import LATENCIES, METRICS
    from saros_otel.scraped import ScrapedHistograms

    metric = next(each for each in METRICS if each.name == "saros_request_latency")
    scraped = ScrapedHistograms([metric])
    for seconds in (0.001, 0.002, 8.0, 10_000.0):
        scraped.record(metric.name, ("start",), seconds)
    (family,) = scraped.collect()
    found = {
        (sample.name.removeprefix(metric.name), sample.labels.get("le", "")): sample.value
        for sample in family.samples
        if sample.labels["operation"] == "start"
    }
    assert found["_seconds_bucket", "0.001"] == 1
    assert found["_seconds_bucket", "0.005"] == 2
    assert found["_seconds_bucket", "10"] == 3
    assert found["_seconds_bucket", "+Inf"] == found["_seconds_count", ""] == 4
    assert found["_seconds_sum", ""] == pytest.approx(10_008.003)
    assert len([name for name, le in found if le]) == len(LATENCIES) + 1
