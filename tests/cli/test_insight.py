"""What commands tell of executions that wait, of workers, queues and schedules, on served backends."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.app.app import App
from saros.insight.parked import troubled_page
from saros.interfaces.insight import PARKED
from saros_cli import session
from saros_testing import eventually

Cli = Callable[..., Any]

INDEX = """\
namespace: app
entries:
  - {name: worker, kind: temporal.worker, task_queue: orders}
  - {name: order, kind: workflow.lua, source: file://order.lua, modules: [funcs]}
  - {name: approval, kind: workflow.lua, source: file://approval.lua, modules: [workflow]}
  - {name: broken, kind: workflow.lua, source: file://broken.lua, modules: [time]}
  - {name: charge, kind: function.lua, source: file://charge.lua}
  - {name: nightly, kind: schedule, workflow: approval, cron: 0 0 1 1 *}
"""
ORDER = """\
return function()
  local policy = {initial_interval = "1h", maximum_interval = "1h"}
  return require("funcs").new():with_options({["activity.retry_policy"] = policy}):call("app:charge")
end
"""
APPROVAL = """\
return function()
  require("workflow").on_query("state", function() return "waiting" end)
  process.listen("approve"):receive()
end
"""
BROKEN = """\
return function()
  require("time").sleep("1h")
end
"""
CHARGE = """\
return function()
  return nil, errors.new({kind = "Declined", message = "no money", retryable = true})
end
"""
FILES = {
    "_index.yaml": INDEX,
    "order.lua": ORDER,
    "approval.lua": APPROVAL,
    "broken.lua": BROKEN,
    "charge.lua": CHARGE,
}
Ask = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{uuid.uuid4()}"
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def shop(write: Callable[..., str]) -> str:
    return write(FILES)


@pytest.fixture
def ask(cli: Cli, url: str, shop: str) -> Ask:
    """Runs a command beside the worker; gives what it prints as JSON."""

    async def ask(*args: str) -> Any:
        command = (*args, "--json", "--backend", url, "--app", shop)
        result = await asyncio.to_thread(cli, *command)
        assert result.status == 0, result.err
        return result.json

    return ask


@asynccontextmanager
async def _served(url: str, shop: str) -> AsyncIterator[App]:
    async with saros.open(shop, backend=url) as app:
        yield app
        async for run in app.list(status="running"):
            await app.get(run.id).terminate()  # backends outlive a test


async def _told(check: Callable[[], Awaitable[bool]], what: str) -> None:
    await eventually(check, what, 60)


async def _failed_once(app: App, id: str) -> None:
    async def failed() -> bool:
        found = (await app.get(id).pending()).activities
        return bool(found) and found[0].attempt == 2 and found[0].started is None

    await _told(failed, "the first attempt has failed")


def test_an_activity_that_fails_is_found_by_describe_list_and_top(url: str, shop: str, ask: Ask) -> None:
    id = str(uuid.uuid4())

    async def scenario() -> None:
        async with _served(url, shop) as app:
            await app.start("app:order", id=id)
            await _failed_once(app, id)
            found = await ask("describe", id)
            (activity,) = found["pending"]["activities"]
            assert (activity["entry"], activity["attempt"]) == ("app:charge", 2)
            assert activity["failure"] == {"kind": "Declined", "message": "no money"}
            assert activity["next_attempt"] > app.clock.now()
            assert "no money" in found["reason"]
            assert found["stack"]["coroutines"][0]["waits"] == "activity app:charge"
            assert "no_stack" not in found
            (row,) = [row for row in await ask("list", "--wide") if row["id"] == id]
            assert row["attempt"] == 1
            assert "no money" in row["waits_for"]
            top = await ask("top", "--once")
            (failing,) = [each for each in top["failing"] if each["id"] == id]
            assert (failing["entry"], failing["attempt"]) == ("app:charge", 2)
            assert "no money" in failing["said"]
            assert top["counts"]["running"] >= 1
            assert str(os.getpid()) in {str(worker["pid"]) for worker in top["workers"]}

    asyncio.run(scenario())


def test_who_waits_for_a_signal_is_told_by_describe_and_stack(url: str, shop: str, ask: Ask) -> None:
    id = str(uuid.uuid4())

    async def scenario() -> None:
        async with _served(url, shop) as app:
            await app.start("app:approval", id=id)

            async def listens() -> bool:
                return (await app.get(id).stack()).topics == ["approve"]

            await _told(listens, "it listens")
            found = await ask("describe", id)
            assert "approve" in found["reason"]
            assert found["pending"]["status"] == "running"
            stack = await ask("stack", id)
            assert (stack["topics"], stack["queries"]) == (["approve"], ["state"])
            (coroutine,) = stack["coroutines"]
            assert "approval.lua:3" in coroutine["frames"][0]

    asyncio.run(scenario())


def test_a_queue_without_a_worker_is_told(url: str, shop: str, ask: Ask) -> None:
    id, queue = str(uuid.uuid4()), f"nobody-{uuid.uuid4()}"

    async def scenario() -> None:
        async with _served(url, shop) as app:
            await app.start("app:approval", id=id, options={"task_queue": queue})
            found = await ask("describe", id)
            assert found["pending"]["task"]["task_queue"] == queue
            assert found["pending"]["task"]["started"] is None
            assert queue in found["reason"]
            queues = {(each["name"], each["kind"]): each for each in await ask("queues")}
            assert queues[queue, "workflow"]["waiting"] == 1
            assert queues[queue, "workflow"]["pollers"] == 0
            assert queues["orders", "workflow"]["pollers"] >= 1
            assert queues["orders", "activity"]["pollers"] >= 1
            (worker,) = [each for each in await ask("workers") if each["pid"] == os.getpid()]
            assert worker["task_queues"] == ["orders"]
            assert worker["version"]
            assert worker["app"]
            assert {slots["kind"] for slots in worker["slots"]} == {"workflow", "activity"}

    asyncio.run(scenario())


def test_a_parked_workflow_is_told(url: str, shop: str, ask: Ask, tmp_path: Path) -> None:
    id = str(uuid.uuid4())

    async def scenario() -> None:
        async with saros.open(shop, backend=url) as app:
            for each in (id, f"{id}-2"):
                await app.start("app:broken", id=each)

            async def sleep() -> bool:
                return all([(await app.get(each).pending()).timers for each in (id, f"{id}-2")])

            await _told(sleep, "they sleep")
        source = tmp_path / "app" / "broken.lua"
        source.write_text('return function() require("time").sleep("2h") end\n')
        async with _served(url, shop) as app:
            for each in (id, f"{id}-2"):
                await app.get(each).signal("wake")

            async def parked() -> bool:
                return all([(await app.get(each).pending()).parked for each in (id, f"{id}-2")])

            await _told(parked, "they are parked")
            found = await ask("describe", id)
            assert found["pending"]["parked"]["failures"] >= 1
            assert found["pending"]["parked"]["problem"] in found["reason"]
            assert found["problem"] == found["pending"]["parked"]["problem"]
            rows = {row["id"]: row for row in await ask("list", "--status", "parked", "--wide")}
            assert "parked" in rows[id]["waits_for"]
            ours = ("list", "--status", "parked", "--query", f"id starts with '{id}'", "--limit", "1")
            (first,) = await ask(*ours)
            pages = [await troubled_page(app.backend, PARKED, f"id starts with '{id}'", 1)]
            (second,) = await ask(*ours, "--cursor", pages[0].cursor)
            assert [first["id"], second["id"]] == [f"{id}-2", id]
            pages.append(
                await troubled_page(app.backend, PARKED, f"id starts with '{id}'", 1, pages[0].cursor)
            )
            assert not pages[1].cursor
            (top,) = [run for run in (await ask("top", "--once"))["parked"] if run["id"] == id]
            assert (top["entry"], top["problem"]) == ("app:broken", found["problem"])

    asyncio.run(scenario())


def test_schedules_are_paused_resumed_and_triggered(url: str, shop: str, ask: Ask) -> None:
    async def scenario() -> None:
        async with _served(url, shop) as app:
            (before,) = await ask("schedules")
            assert (before["id"], before["workflow"], before["spec"]) == (
                "app:nightly",
                "app:approval",
                "0 0 1 1 *",
            )
            assert before["next"][0] > app.clock.now()
            (paused,) = await ask("schedules", "pause", "app:nightly", "--reason", "stocktaking")
            assert paused["paused"]["reason"] == "stocktaking"
            assert list((await ask("top", "--once"))["paused"]) == ["app:nightly"]
            (resumed,) = await ask("schedules", "resume", "app:nightly")
            assert resumed["paused"] is None
            id = (await ask("schedules", "trigger", "app:nightly"))["id"]
            assert (await app.get(id).describe()).entry == "app:approval"

            async def listed() -> bool:
                (found,) = await ask("schedules")
                return [run["id"] for run in found["last"]][:1] == [id]

            await _told(listed, "the run is listed")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["workers"],
        ["queues"],
        ["schedules"],
        ["schedules", "pause", "app:nightly"],
        ["top", "--once"],
    ],
    ids=" ".join,
)
def test_a_process_that_has_started_nothing_says_so(cli: Cli, shop: str, command: list[str]) -> None:
    result = cli(*command, "--backend", "memory://", "--app", shop, "--json")
    assert (result.status, result.out) == (session.target("memory://").in_process, "")
    assert "--backend" in result.err


def test_describe_tells_why_there_is_no_stack(cli: Cli, shop: str, sqlite_url: str) -> None:
    id = str(uuid.uuid4())

    async def start() -> None:
        async with saros.open(shop, backend=sqlite_url) as app:
            await app.start("app:approval", id=id)

            async def begun() -> bool:
                return (await app.get(id).pending()).task is None

            await _told(begun, "it waits")

    asyncio.run(start())
    found = cli("describe", id, "--backend", sqlite_url, "--json").json
    assert found["stack"] is None
    assert "app:approval" in found["no_stack"]
    assert "app:approval" in next(
        line
        for line in cli("describe", id, "--backend", sqlite_url).out.splitlines()
        if line.startswith("stack")
    )
