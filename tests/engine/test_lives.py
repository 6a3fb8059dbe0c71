"""Starts that are withdrawn in time, runs that follow one another, and waits for them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from saros.engine import runs
from saros.engine.replay import replay
from saros.interfaces.signals import Mail
from saros.model.clock import RealClock
from saros.model.errors import CANCELED, NonDeterminism
from saros.model.execution import RUNNING, StartRequest
from saros.model.presentation import export_history
from saros.model.records import CANCEL
from saros_memory.store import MemoryStore
from saros_testing import TestApp, eventually, lua_app, refused

Runner = Callable[[Coroutine[Any, Any, None]], None]


async def _start(store: MemoryStore, request_id: str) -> str:
    request = StartRequest("child", "app:main", "main", "w", "q", request_id=request_id)
    started = await store.start(runs.first(request, store.clock.now()), request)
    return started.run_id


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_a_start_that_was_withdrawn_is_not_carried_out(run: Runner, verb: str) -> None:
    async def main() -> None:
        store = MemoryStore("memory://", RealClock())
        if verb == "cancel":
            assert not await store.post("child", Mail(CANCEL, 0, b"{}", request="parent:1"))
        else:
            assert not await store.terminate("child", b"{}", request="parent:1")
        assert (await refused(_start(store, "parent:1"))).kind == CANCELED
        other = await _start(store, "parent:2")
        assert not await store.terminate("child", b"{}", request="parent:1")
        assert not await store.terminate("child", b"{}", request="another:1")
        found = await store.describe("child")
        assert found is not None
        assert (found.run_id, found.status) == (other, RUNNING)
        assert await store.terminate("child", b"{}", request="parent:2")

    run(main())


def test_a_wait_that_is_given_up_leaves_nothing(run: Runner) -> None:
    async def main() -> None:
        store = MemoryStore("memory://", RealClock())
        run_id = await _start(store, "a:1")
        waits = [asyncio.create_task(store.changed("child", run_id, 0)) for _ in range(10)]
        await asyncio.sleep(0)
        assert store._waiters
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert not store._waiters

    run(main())


def test_a_run_timeout_keeps_a_cron_schedule_going(run: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        lua_app(tmp_path, workflows={"main": 'time.sleep("1h")'})
        async with TestApp(tmp_path) as app:
            options = {"cron_schedule": "* * * * *", "run_timeout": 1000}
            order = await app.start("app:main", id="cron", options=options)

            async def three() -> bool:
                return len([1 async for _ in app.app.list("id = 'cron' and status = 'timed_out'")]) >= 3

            await eventually(three, "three runs have timed out")
            await app.app.get(order.id).cancel()
            assert (await refused(order.result(90))).kind == CANCELED
            assert (await app.app.get(order.id).describe()).status == "canceled"

    run(main())


def test_the_messages_of_a_cron_workflow_keep_their_order(run: Runner, tmp_path: Path) -> None:
    """Each run sends as it ends, and the next one does not overtake it."""
    main = 'for n = 1, 5 do process.send(input, "n", {time.now():unix(), n}) end'
    hears = """
    local spawner = process.with_options({["workflow.id"] = "cron", ["workflow.cron_schedule"] = "* * * * *"})
    assert(spawner:spawn("app:main", "app:worker", process.pid()))
    local heard = {}
    for n = 1, 15 do heard[n] = process.inbox():receive():payload():data() end
    return heard
    """

    async def scenario() -> None:
        lua_app(tmp_path, workflows={"main": main}, functions={"hears": hears})
        async with TestApp(tmp_path) as app:
            heard = await app.call("app:hears")
            await app.app.get("cron").terminate()
        times = [heard[first][0] for first in (0, 5, 10)]
        assert [later - earlier for earlier, later in itertools.pairwise(times)] == [60, 60]
        assert heard == [[time, number] for time in times for number in range(1, 6)]

    run(scenario())


def test_a_failed_cron_run_past_its_execution_timeout_is_the_last(run: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        lua_app(tmp_path, workflows={"main": 'return nil, errors.new("Bad", "x")'})
        async with TestApp(tmp_path) as app:
            options = {"cron_schedule": "* * * * *", "execution_timeout": 150_000}
            order = await app.start("app:main", id="cron", options=options)
            assert (await refused(order.result(90))).kind == "Bad"

    run(main())


def test_a_continuation_that_told_no_cancellation_still_replays(tmp_path: Path) -> None:
    """Such histories were written before unmet cancellations went with continuations."""
    code = """
    local events = process.events()
    process.inbox():receive()
    if input then require("workflow").continue_as_new(false) end
    return events:receive().reason
    """
    lua_app(tmp_path, workflows={"main": code})

    async def main() -> None:
        async with TestApp(tmp_path) as app:
            order = await app.start("app:main", True, id="order")

            async def canceled() -> bool:
                return "CancelRequested" in [event.name for event in await order.history()]

            await order.cancel("enough")
            await eventually(canceled, "the program has its cancellation")
            await order.signal("go")
            await order.signal("go")
            assert await order.result(30) == "enough"
            page = await app.app.backend.history("order", order.run_id)
            last = page.records[-1]
            told = json.loads(last.body)
            assert told.pop("cancels") == [{"sender": "", "reason": "enough"}]
            deployment = app.app.deployment

            def document(body: Any) -> Any:
                old = msgspec.structs.replace(last, body=json.dumps(body).encode())
                return export_history(page._replace(records=[*page.records[:-1], old]))

            assert replay(export_history(page), deployment) == len(page.records)
            assert replay(document(told), deployment) == len(page.records)
            for other in ({**told, "args": [True]}, {**told, "cancels": [{"reason": "other"}]}):
                with pytest.raises(NonDeterminism):
                    replay(document(other), deployment)

    asyncio.run(main())
