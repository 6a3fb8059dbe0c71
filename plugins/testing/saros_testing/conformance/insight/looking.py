"""Insight: pending work, stacks, workers, pages of lists and histories, schedules (§6, §13)."""

from __future__ import annotations

import functools
from typing import Any

from saros.app.app import App
from saros.insight.reasons import reason
from saros.interfaces.history import LAST
from saros.interfaces.insight import RETRYING
from saros.interfaces.insight.pending import Pending
from saros.model import values
from saros.model.errors import INVALID, NOT_FOUND
from saros.model.timing import SECOND

from ..suite import Case, behaviour, eventually, refused
from ..workflows.helpers import is_listed

WAITS_S = 45.0
SLACK_NS = 120 * SECOND
"""The most by which the clocks of the server and this machine may differ."""


async def _pending(app: App, id: str, *, activity: bool = False) -> Pending:
    """Wait until an execution has something pending, and return it."""
    found: list[Pending] = []

    async def there() -> bool:
        found[:] = [await app.get(id).pending()]
        return bool(found[0].activities if activity else found[0].timers)

    await eventually(there, f"something of {id} is pending", WAITS_S)
    return found[0]


@behaviour(
    "§13", "a pending activity shows its attempt, the last failure with kind and message, and what comes next"
)
async def pending_failures(case: Case) -> None:
    options = '["activity.retry_policy"] = {initial_interval = "1h", maximum_interval = "1h"}'
    main = f'return funcs.new():with_options({{{options}}}):call("app:charge", input)'
    fails = 'return nil, errors.new{kind = "Declined", message = "no money", retryable = true}'
    app = await case.app(main, functions={"charge": fails})
    with case.still(app):
        order = await app.start("app:main", 1, id=case.id())

        async def failed() -> bool:
            found = await order.pending()
            return bool(found.activities) and found.activities[0].failure is not None

        await eventually(failed, "the first attempt has failed", WAITS_S)
        found = await order.pending()
        (charge,) = found.activities
        now = app.app.clock.now()
        assert (charge.entry, charge.attempt, charge.started) == ("app:charge", 2, None)
        assert charge.failure is not None
        assert (charge.failure.kind, charge.failure.message) == ("Declined", "no money")
        assert charge.next_attempt is not None
        assert abs(charge.next_attempt - now - 3_600 * SECOND) < SLACK_NS
        said = reason(found, now, await app.app.queues())
        assert said.startswith("app:charge has failed once, last: Declined: no money; next attempt in")
        await eventually(
            lambda: is_listed(app.app, order.id, RETRYING), "it is among the retrying ones", WAITS_S
        )
        await order.terminate()

        async def gone() -> bool:
            return not await is_listed(app.app, order.id, RETRYING)

        await eventually(gone, "it no longer is", WAITS_S)
    assert (await order.pending()).activities == []


@behaviour("§13", "a running activity shows its start, its worker and its last heartbeat")
async def pending_heartbeats(case: Case) -> None:
    steps = """
    local activity = require("activity")
    activity.heartbeat({done = 3})
    while not activity.is_canceled() do time.sleep("20ms"); activity.heartbeat({done = 3}) end
    return 1
    """
    app = await case.app('return funcs.call("app:steps")', functions={"steps": steps})
    order = await app.start("app:main", id=case.id())

    async def beats() -> bool:
        found = (await order.pending()).activities
        return bool(found) and bytes(found[0].heartbeat) != b""

    await eventually(beats, "the activity has recorded a heartbeat", WAITS_S)
    (running,) = (await order.pending()).activities
    assert bytes(running.heartbeat) == b'{"done":3}'
    assert running.attempt == 1
    assert running.started is not None
    assert running.heartbeat_time is not None
    assert 0 < running.scheduled <= running.started + SLACK_NS
    identities = {worker.identity for worker in await app.app.workers()}
    assert running.worker in identities
    await order.terminate()


@behaviour("§13", "pending timers and children are listed, with due times and ids")
async def pending_commands(case: Case) -> None:
    main = """
    coroutine.spawn(function() time.sleep("5h") end)
    coroutine.spawn(function() process.exec("app:child", "app:worker") end)
    process.inbox():receive()
    """
    app = await case.app(main, workflows={"child": "process.inbox():receive()"})
    with case.still(app):
        order = await app.start("app:main", id=case.id())

        async def both() -> bool:
            found = await order.pending()
            return bool(found.timers and found.children and found.children[0].status)

        await eventually(both, "a timer and a child are pending", WAITS_S)
        found = await order.pending()
        (timer,), (child,) = found.timers, found.children
        assert abs(timer.due - timer.started - 5 * 3_600 * SECOND) < SECOND
        assert (child.entry, child.status) == ("app:child", "running")
        assert (await app.app.get(child.id).describe()).run_id == child.run_id
        await app.app.get(child.id).terminate()
        await order.terminate()


@behaviour(
    "§13", "the stack shows file and line of each coroutine, what it awaits, topics, queries and updates"
)
async def stacks(case: Case) -> None:
    main = """
    local w = require("workflow")
    w.on_query("state", function() return 1 end)
    w.on_update("add", function() return 1 end)
    local approve = process.listen("approve")
    coroutine.spawn(function() time.sleep("5h") end)
    approve:receive()
    """
    app = await case.app(main)
    with case.still(app):
        order = await app.start("app:main", id=case.id())
        await _pending(app.app, order.id)
        stack = await order.stack()
        assert (stack.queries, stack.updates, stack.topics) == (["state"], ["add"], ["approve"])
        (waits, sleeps) = sorted(stack.coroutines, key=lambda each: each.waits)
        assert sleeps.waits == "a timer"
        assert all("main.lua:" in each.frames[0] for each in (waits, sleeps))
        assert "in main" in waits.frames[-1]
        await order.terminate()
    assert (await refused(app.app.get(case.id()).stack())).kind == NOT_FOUND


@behaviour("§13", "a workflow without a worker shows that nothing polls its task queue")
async def unserved(case: Case) -> None:
    app = await case.app("return 1")
    queue = f"nobody-{case.id()}"
    order = await app.start("app:main", id=case.id(), options={"task_queue": queue})

    async def waits() -> bool:
        found = await order.pending()
        return found.task is not None

    await eventually(waits, "its workflow task waits", WAITS_S)
    found = await order.pending()
    assert found.task is not None
    assert (found.task.task_queue, found.task.started) == (queue, None)

    async def said() -> bool:
        queues = await app.app.queues([queue])
        return reason(found, app.app.clock.now(), queues) == f"no worker polls task queue {queue}"

    await eventually(said, "nobody polls the queue", WAITS_S)
    await order.terminate()


@behaviour("§13", "workers show their process, versions and task queues; queues show their pollers")
async def workers(case: Case) -> None:
    app = await case.app("return 1")
    assert await app.run("app:main", id=case.id()) == 1
    own = set(app.app.registry.task_queues())

    async def announced() -> bool:
        return any(own <= set(each.task_queues) for each in await app.app.workers())

    await eventually(announced, "the worker is announced", WAITS_S)
    worker = next(each for each in await app.app.workers() if own <= set(each.task_queues))
    assert worker.identity == f"{worker.pid}@{worker.host}"

    async def polled() -> bool:
        found = [each for each in await app.app.queues() if each.name in own]
        return {each.kind for each in found if each.pollers} == {"workflow", "activity"}

    await eventually(polled, "the queue shows pollers for both kinds of tasks", WAITS_S)


@behaviour("§13", "a list comes in pages, newest first, each run once; counts are by status")
async def pages(case: Case) -> None:
    app = await case.app("process.inbox():receive()", workflows={"ends": "return 1"})
    mark = case.id()
    ids = [f"{mark}-{number}" for number in range(5)]
    for id in ids:
        await app.start("app:main", id=id)
    ended = f"{mark}-ended"
    assert await app.run("app:ends", id=ended) == 1
    query = f"id starts with '{mark}'"

    async def counted(wanted: dict[str, int]) -> bool:
        return await app.app.counts(query) == wanted

    await eventually(functools.partial(counted, {"running": 5, "completed": 1}), "all are listed", WAITS_S)
    seen: list[Any] = []
    cursor = ""
    while True:
        page = await app.app.page(query + " and status = 'running'", limit=2, cursor=cursor)
        assert 1 <= len(page.items) <= 2
        seen += page.items
        cursor = page.cursor
        if not cursor:
            break
    assert [each.id for each in seen] == ids[::-1]
    wrong = await refused(app.app.page(query, cursor="not a cursor"))
    assert wrong.kind == INVALID
    for id in ids:
        await app.app.get(id).terminate()


@behaviour("§13", "a history is read in pages, with the input of its run, or from its last record")
async def history_pages(case: Case) -> None:
    app = await case.app("for i = 1, 20 do time.sleep(1) end return 1")
    order = await app.start("app:main", {"total": 7}, id=case.id())
    assert await order.result(30) == 1
    whole = await order.history()
    lines: list[Any] = []
    while True:
        page = await app.app.backend.history(order.id, start=len(lines), limit=7)
        assert page.start == len(lines)
        lines += page.records
        if len(page.records) < 7:
            break
        assert values.decode(page.run.args) == [{"total": 7}]
    assert lines == [line.record for line in whole]
    last = await app.app.backend.history(order.id, order.run_id, LAST)
    assert (last.records, last.status) == (lines[-1:], "completed")
    assert last.run == page.run
