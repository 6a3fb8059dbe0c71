"""Workers that lose their cache, die or commit late: no effect is lost, and none counts twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.engine.backend import StoreBackend
from saros.engine.commit_builder import CommitBuilder
from saros.engine.replay import load
from saros.interfaces.activities import ActivityLease, Settled
from saros.interfaces.signals import Mail
from saros.interfaces.store import CONFLICT, FENCED, OK
from saros.model.records import DONE, MESSAGE, Message, pack
from saros_memory.store import MemoryStore
from saros_testing import eventually, lua_app

Runner = Callable[[Coroutine[Any, Any, None]], None]

MIXED = """
local seen, inbox = {}, process.inbox()
for i = 1, input do
  seen[#seen + 1] = (funcs.call("app:echo", i))
  time.sleep("1m")
  local v = require("workflow").version("change-" .. i, 1, i)
  seen[#seen + 1] = v
  seen[#seen + 1] = math.random(2000, 3000)
  coroutine.spawn(function() time.sleep("5s") seen[#seen + 1] = "bg" .. i end)
  if i % 3 == 0 then
    local child = require("workflow").call("app:child", i)
    seen[#seen + 1] = child
  end
end
seen[#seen + 1] = inbox:receive():payload():data()
return seen
"""


def app(path: Path) -> Path:
    return lua_app(
        path,
        workflows={"main": MIXED, "child": "time.sleep('10s') return input * 100"},
        functions={"echo": "return input"},
    )


async def worker_of(opened: saros.App) -> Any:
    backend = opened.backend
    assert isinstance(backend, StoreBackend)
    await eventually(lambda: backend.workflow_worker is not None, "the workers run")
    return backend.workflow_worker


@pytest.mark.parametrize("seed", range(4))
def test_dropping_every_cache_at_random_changes_nothing(tmp_path: Path, run: Runner, seed: int) -> None:
    path = app(tmp_path)
    chance = random.Random(seed)

    async def scenario() -> None:
        async with saros.open(path, "memory://?time=skip") as opened:
            worker = await worker_of(opened)
            handle_tasks = worker.handle

            async def forgetful(tasks: Any) -> None:
                await handle_tasks(tasks)
                if chance.random() < 0.5:
                    worker.drop_all()

            worker.handle = forgetful
            orders = [await opened.start("app:main", 6, id=f"o{n}") for n in range(10)]
            for order in orders:
                await order.signal("go", order.id)
            for order in orders:
                result = await order.result(90)
                assert result[-1] == order.id
                assert result[0] == 1
                assert [item for item in result if item in (300, 600)] == [300, 600]
                assert load_again(opened, await opened.backend.history(order.id)) == len(
                    await order.history()
                )

    run(scenario())


def load_again(opened: saros.App, page: Any) -> int:
    """Replay a history from the start, and return its length."""
    live = load(page.run, opened.deployment, page.records)
    length = live.length
    live.close()
    return length


def test_a_late_commit_is_fenced_and_a_stale_one_conflicts(tmp_path: Path, run: Runner) -> None:
    path = lua_app(tmp_path, workflows={"main": "process.inbox():receive() return 1"})

    async def scenario() -> None:
        async with saros.open(path, workers=False) as opened:
            store = opened.backend.store  # type: ignore[attr-defined]
            assert isinstance(store, MemoryStore)
            order = await opened.start("app:main", id="o")
            (task,) = await store.take(["main"], 10)
            live = load(task.run, opened.deployment, [])
            builder = CommitBuilder(task, live)
            builder.begin()
            late = CommitBuilder(task, load(task.run, opened.deployment, []))
            late.begin()
            late.commit.fence = "somebody else's"
            assert await store.commit([late.commit]) == [FENCED]
            assert await store.commit([builder.commit]) == [OK]
            assert await store.commit([builder.commit]) == [FENCED]
            await order.signal("go")
            (task,) = await store.take(["main"], 10)
            stale = CommitBuilder(task, live)
            stale.begin()
            stale.commit.expected -= 1
            assert await store.commit([stale.commit]) == [CONFLICT]
            assert len(await order.history()) == 1

    run(scenario())


def test_a_completion_counts_once_and_only_for_its_own_attempt(tmp_path: Path, run: Runner) -> None:
    main = 'return {(funcs.call("app:echo", 1)), process.inbox():receive():payload():data()}'
    path = lua_app(tmp_path, workflows={"main": main}, functions={"echo": "return input"})

    async def scenario() -> None:
        async with saros.open(path, workers=False) as opened:
            store = opened.backend.store  # type: ignore[attr-defined]
            order = await opened.start("app:main", id="o")
            (task,) = await store.take(["main"], 10)
            live = load(task.run, opened.deployment, [])
            builder = CommitBuilder(task, live)
            builder.begin()
            assert await store.commit([builder.commit]) == [OK]
            (lease,) = await store.take_activities(["main"], 10)
            forged = ActivityLease(lease.task, "another token", lease.now)
            await store.settle([Settled(forged, b'{"ok":"forged"}'), Settled(lease, b'{"ok":"right"}')])
            await store.settle([Settled(lease, b'{"ok":"again"}')])
            assert not await store.post("o", Mail(DONE, 1, b'{"ok":"old run"}', "another run"))
            await order.signal("go", 7)
            opened.start_workers()
            assert await order.result(90) == ["right", 7]

    run(scenario())


def test_mail_that_comes_while_a_task_runs_is_not_lost(tmp_path: Path, run: Runner) -> None:
    main = "local n = 0 for _ = 1, 50 do n = n + process.inbox():receive():payload():data() end return n"
    path = lua_app(tmp_path, workflows={"main": main})

    async def scenario() -> None:
        async with saros.open(path) as opened:
            order = await opened.start("app:main", id="o")
            message = pack(Message("n", "", saros_raw(b"[1]")))
            for _ in range(50):
                assert await opened.backend.store.post("o", Mail(MESSAGE, 0, message))  # type: ignore[attr-defined]
                if random.random() < 0.3:
                    await asyncio.sleep(0)
            assert await order.result(90) == 50

    run(scenario())


def saros_raw(data: bytes) -> Any:
    from saros.model.raw import Raw

    return Raw(data)
