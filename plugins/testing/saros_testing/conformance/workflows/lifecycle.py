"""How runs begin, follow each other and end: children, cancels, retries, continue-as-new (§6, §8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from saros.app.handle import Handle
from saros.model.errors import CANCELED, NOT_FOUND, Error
from saros.model.execution import RUNNING

from ...cases import TestApp
from ..suite import Case, behaviour, eventually, refused

HOUR = 3_600_000
AGAIN = 'return nil, errors.new{message = "again", retryable = true}'
WAITS = "process.inbox():receive() return 1"
LATER = 'process.with_options({["workflow.id"] = input}):spawn("app:waits", "app:worker") return 1'
MANY = 80  # more than one batch of the outbox


async def _status(app: TestApp, id: str) -> str:
    """Return the status of the newest run; "" if there is no run."""
    try:
        return (await app.app.get(id).describe()).status
    except Error as error:
        if error.kind != NOT_FOUND:
            raise
        return ""


def _is(app: TestApp, id: str, *statuses: str) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return await _status(app, id) in statuses

    return found


async def _attempt(app: TestApp, order: Handle) -> None:
    """Wait until the first run has failed and the next one waits for its start."""

    async def follows() -> bool:
        found = await app.app.get(order.id).describe()
        return found.run_id != order.run_id

    await eventually(follows, "the first run has ended")


# --- children -----------------------------------------------------------------------------------


@behaviour(
    "§8", "a close policy applies when continue_as_new ends a run; the next run gets no EXIT of such a child"
)
async def children_of_a_run(case: Case) -> None:
    main = """
    if not input.last then
      for _, policy in ipairs({"terminate", "abandon", "request_cancel"}) do
        process.with_options({
          ["workflow.id"] = input.id .. policy, ["workflow.parent_close_policy"] = policy,
        }):spawn("app:waits", "app:worker")
      end
      require("workflow").continue_as_new({last = true})
    end
    process.inbox():receive()
    return channel.select{process.events():case_receive(), default = true}.default
    """
    app = await case.app(main, workflows={"waits": WAITS})
    id = case.id()
    order = await app.start("app:main", {"id": id}, id=id)
    await eventually(_is(app, f"{id}terminate", "terminated"), "one child is terminated")
    await eventually(_is(app, f"{id}request_cancel", "canceled"), "one child is cancelled")
    assert await _status(app, f"{id}abandon") == RUNNING
    await app.app.get(f"{id}abandon").signal("end")
    await app.app.get(f"{id}abandon").result(30)
    await order.signal("end")
    assert await order.result(30) is True


@behaviour(
    "§8",
    "a parent's end does not affect a stranger with an ended child's id, or one that a spawn only joined",
)
async def strangers(case: Case) -> None:
    main = """
    process.with_options({["workflow.id"] = input.child}):exec("app:quick", "app:worker")
    process.with_options({["workflow.id"] = input.child2}):spawn("app:quick", "app:worker")
    process.events():receive()
    process.with_options({["workflow.id"] = input.other}):spawn("app:waits", "app:worker")
    process.send(input.other, "reached")
    process.inbox():receive()
    process.spawn("app:waits", "app:worker")
    return true
    """
    waits = "local inbox = process.inbox() while inbox:receive():topic() ~= 'end' do end return 1"
    app = await case.app(main, workflows={"quick": "return 1", "waits": waits, "later": LATER})
    id = case.id()
    others = [f"{id}-{n}" for n in range(3)]
    await app.start("app:waits", id=others[2])
    given = {"child": others[0], "child2": others[1], "other": others[2]}
    order = await app.start("app:main", given, id=id)
    for other in others[:2]:
        await eventually(_is(app, other, "completed"), "a child has ended")
        await app.start("app:waits", id=other)
    await order.signal("go")
    assert await order.result(30) is True
    await _settled(case, app)
    for other in others:
        assert await _status(app, other) == RUNNING
        await app.app.get(other).signal("end")
        assert await app.app.get(other).result(30) == 1


@behaviour("§8", "a child whose start is in progress when its parent ends does not stay behind")
async def no_orphans(case: Case) -> None:
    await _orphans(case, "return true")


@behaviour("§8", "a child whose start is in progress when its parent is terminated does not stay behind")
async def no_orphans_of_the_terminated(case: Case) -> None:
    await _orphans(case, "process.inbox():receive()")


async def _orphans(case: Case, end: str) -> None:
    main = f"""
    for n = 1, {MANY} do
      coroutine.spawn(function()
        process.with_options({{["workflow.id"] = input .. "-" .. n}}):spawn("app:waits", "app:worker")
      end)
    end
    {end}
    """
    app = await case.app(main, workflows={"waits": WAITS, "later": LATER})
    id = case.id()
    order = await app.start("app:main", id, id=id)
    if "receive" in end:
        await eventually(_is(app, f"{id}-1", RUNNING), "the first child runs", 45)
        await order.terminate("at once")
        await refused(order.result(30))
    else:
        assert await order.result(30) is True
    await _settled(case, app)

    async def none() -> bool:
        found = await asyncio.gather(*[_status(app, f"{id}-{n}") for n in range(1, MANY + 1)])
        return RUNNING not in found

    await eventually(none, "no child runs")
    await _settled(case, app)
    assert await none()


async def _settled(case: Case, app: TestApp) -> None:
    """Wait until earlier requests of executions are carried out: another parent and its child end."""
    id = case.id()
    await app.run("app:later", f"{id}-c", id=id)
    await eventually(_is(app, f"{id}-c", "terminated", ""), "a later child has ended, too")


@behaviour("§8", "a child that outlives its parent gets a cancellation from the parent's last task")
async def abandoned_cancel(case: Case) -> None:
    main = """
    local outlives = process.with_options({
      ["workflow.id"] = input, ["workflow.parent_close_policy"] = "abandon",
    })
    local none, err = outlives:exec("app:sleeps", "app:worker")
    return {none == nil, err:kind()}
    """
    sleeps = 'local _, err = time.sleep("1h") return nil, err'
    app = await case.app(main, workflows={"sleeps": sleeps})
    id = case.id()
    order = await app.start("app:main", f"{id}-c", id=id)
    await eventually(_is(app, f"{id}-c", RUNNING), "the child runs")
    await order.cancel("enough")
    assert await order.result(30) == [True, CANCELED]
    await eventually(_is(app, f"{id}-c", "canceled"), "the child is cancelled")


# --- cancels ------------------------------------------------------------------------------------


@behaviour("§6", "a cancellation during start_delay takes effect at once")
async def cancel_before_the_start(case: Case) -> None:
    app = await case.app("local e = process.events():receive() return e.kind .. e.reason")
    order = await app.start("app:main", id=case.id(), options={"start_delay": HOUR})
    await order.signal("early")
    await order.cancel(" now")
    assert await order.result(30) == "CANCEL now"


@behaviour("§6", "a cancellation that meets a continue_as_new takes effect in the next run")
async def cancel_meets_continue(case: Case) -> None:
    main = """
    if input.runs > 0 then
      require("workflow").continue_as_new({runs = input.runs - 1, asks = input.asks})
    end
    if input.asks then
      local event = process.events():receive()
      return event.kind .. event.reason
    end
    local _, err = time.sleep("1h")
    return nil, err
    """
    app = await case.app(main)
    for asks in (True, False):
        # The delay makes the request come before the first task, which continues as new at once.
        options = {"start_delay": HOUR}
        order = await app.start("app:main", {"runs": 2, "asks": asks}, id=case.id(), options=options)
        await order.cancel("enough")
        last = app.app.get(order.id)
        if asks:
            assert await last.result(30) == "CANCELenough"
        else:
            assert (await refused(last.result(30))).message == "canceled: enough"
            assert await _status(app, order.id) == "canceled"
        assert "CancelRequested" in [event.name for event in await last.history()]


@behaviour("§6", "a cancellation between two attempts takes effect at once, and no other attempt follows")
async def cancel_in_backoff(case: Case) -> None:
    main = f"""
    if require("workflow").info().attempt == 1 then {AGAIN} end
    local _, err = time.sleep("1h")
    if input then {AGAIN} end
    return nil, err
    """
    app = await case.app(main)
    policy = {"initial_interval": HOUR, "maximum_interval": HOUR}
    for fails in (False, True):
        order = await app.start("app:main", fails, id=case.id(), options={"retry_policy": policy})
        await _attempt(app, order)
        await app.app.get(order.id).cancel("enough")
        error = await refused(order.result(30))
        assert error.message == ("again" if fails else "canceled: enough")
        assert await _status(app, order.id) == ("failed" if fails else "canceled")


@behaviour("§8", "a cron workflow gets a cancellation at once, and does not start again, however it ends")
async def cancel_cron(case: Case) -> None:
    main = f"""
    local _, err = time.sleep("1h")
    if input == "fails" then {AGAIN} end
    if input == "returns" then return 1 end
    return nil, err
    """
    app = await case.app(main)
    for end in ("cancels", "fails", "returns"):
        options = {"cron_schedule": "0 0 1 1 *"}
        order = await app.start("app:main", end, id=case.id(), options=options)
        await order.cancel("enough")
        error = await refused(order.result(30))
        assert error.kind == CANCELED or end == "fails"
        found = await app.app.get(order.id).describe()
        assert (found.status, found.run_id) == ("canceled", order.run_id)
