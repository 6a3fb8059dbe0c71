"""How cancellations meet delays, retries, cron schedules and the ends of runs (§6, §8)."""

from __future__ import annotations

import asyncio
from typing import Any

from saros.app.handle import Handle
from saros.model.errors import CANCELED
from saros.model.execution import RUNNING

from ...cases import TestApp
from ..suite import Case, behaviour, eventually, refused
from .helpers import AGAIN, run_is, status

HOUR = 3_600_000
SLEEPS = 'local _, err = time.sleep("1h") return nil, err'


async def _attempt(app: TestApp, order: Handle) -> None:
    """Wait until the first run has failed and the next one waits for its start."""

    async def follows() -> bool:
        found = await app.app.get(order.id).describe()
        return found.run_id != order.run_id

    await eventually(follows, "the first run has ended")


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
            assert await status(app, order.id) == "canceled"
        assert "CancelRequested" in [event.name for event in await last.history()]


def _continues(first: str) -> str:
    """A workflow whose first run does `first`, and whose next one tells how it is cancelled."""
    return f"""
    local workflow, kinds = require("workflow"), {{}}
    if input.first then
      {first}
      workflow.continue_as_new({{asks = input.asks}})
    end
    if input.asks then
      for n = 1, input.asks do
        local event = process.events():receive()
        kinds[n] = event.kind .. " " .. event.reason
      end
      return kinds
    end
    local _, err = time.sleep(input.sleep or "1h")
    return nil, err
    """


async def _begun(app: TestApp, order: Handle) -> None:
    """Wait until the code of the first run has run."""

    async def begun() -> bool:
        return bool(await app.app.get(order.id, order.run_id).history())

    await eventually(begun, "the first run has begun")


async def _cancelled(case: Case, app: TestApp, given: dict[str, Any], cancels: int = 1) -> Handle:
    """Start a workflow, and return it once its program has got its cancellation."""
    order = await app.start("app:main", given, id=case.id())
    run = app.app.get(order.id, order.run_id)

    async def delivered() -> bool:
        return sum(event.name == "CancelRequested" for event in await run.history()) >= cancels

    await _begun(app, order)
    await app.app.get(order.id).cancel("enough")
    await eventually(delivered, "the program has its cancellation")
    return app.app.get(order.id)


@behaviour(
    "§6", "a cancellation whose event nobody has received when its run continues as new goes to the next run"
)
async def unread_cancel_continues(case: Case) -> None:
    app = await case.app(_continues("process.events() process.inbox():receive()"))
    order = await _cancelled(case, app, {"first": True, "asks": 1})
    await order.signal("go")
    assert await order.result(30) == ["CANCEL enough"]
    order = await _cancelled(case, app, {"first": True})
    await order.signal("go")
    assert (await refused(order.result(30))).message == "canceled: enough"
    assert await status(app, order.id) == "canceled"


@behaviour(
    "§6", "a cancellation that no blocking call has returned when a run continues as new goes to the next run"
)
async def unmet_cancel_continues(case: Case) -> None:
    deaf = "process.events():receive() process.inbox():receive() return 1"
    first = """
      assert(process.with_options({
        ["workflow.id"] = input.child, ["workflow.wait_for_cancellation"] = true,
      }):exec("app:deaf", "app:worker"))
    """
    app = await case.app(_continues(first), workflows={"deaf": deaf})
    for asks in (1, None):
        child = case.id()
        given = {"first": True, "child": child, "asks": asks}
        order = await app.start("app:main", given, id=case.id())
        await eventually(run_is(app, child, RUNNING), "the child runs")
        await order.cancel("enough")
        await app.app.get(child).signal("end")
        last = app.app.get(order.id)
        if asks:
            assert await last.result(30) == ["CANCEL enough"]
        else:
            assert (await refused(last.result(30))).message == "canceled: enough"


@behaviour("§6", "a next run does not get a cancellation that the code has met before it continued as new")
async def met_cancel_ends_with_its_run(case: Case) -> None:
    waits = 'process.with_options({["workflow.wait_for_cancellation"] = true})'
    ways = {
        "received": "process.events():receive()",
        "returned": 'assert(select(2, time.sleep("1h")):kind() == "Canceled")',
        "raised": "assert(not pcall(function() process.inbox():receive() end))",
        "refused": f'{waits}:exec("app:ends", "app:worker") assert(time.sleep("1h") == nil)',
        "awaited": f'assert(select(2, {waits}:exec("app:sleeps", "app:worker")):kind() == "Canceled")',
        "elsewhere": f"""
          coroutine.spawn(function() time.sleep("1h") end)
          assert({waits}:exec("app:ends", "app:worker"))
        """,
    }
    ends = """
    if not input.first then
      return channel.select{process.events():case_receive(), default = true}.default
    end
    """
    children = {"ends": "process.events():receive() return 1", "sleeps": SLEEPS}
    mains = {name: ends + _continues(first) for name, first in ways.items()}
    app = await case.app(workflows={**mains, **children})
    for name in mains:
        with case.still(app):
            order = await app.start(f"app:{name}", {"first": True}, id=case.id())
            await _begun(app, order)
            await order.cancel("enough")
        assert await app.app.get(order.id).result(30) is True


@behaviour("§6", "a run with a cancellation of the run before it gets its own cancellation, too")
async def cancelled_in_both_runs(case: Case) -> None:
    app = await case.app(_continues("process.events() process.inbox():receive()"))
    order = await _cancelled(case, app, {"first": True, "asks": 2})
    first = (await order.describe()).run_id
    await order.signal("go")

    async def continued() -> bool:
        if (await order.describe()).run_id == first:
            return False
        return "CancelRequested" in [event.name for event in await order.history()]

    await eventually(continued, "the next run has the cancellation of the first")
    await order.cancel("again")
    assert await order.result(30) == ["CANCEL enough", "CANCEL again"]


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
        assert await status(app, order.id) == ("failed" if fails else "canceled")


@behaviour(
    "§6", "a cancellation during the last task of an attempt takes effect at once, whatever backoff follows"
)
async def cancel_in_the_last_task(case: Case) -> None:
    main = f"""
    if require("workflow").info().attempt == 1 then
      funcs.new():with_options{{["activity.local"] = true}}:call("app:slow")
      {AGAIN}
    end
    local _, err = time.sleep("1h")
    return nil, err
    """
    app = await case.app(main, functions={"slow": 'time.sleep("600ms")'})
    policy = {"initial_interval": HOUR, "maximum_interval": HOUR}
    with case.still(app):
        order = await app.start("app:main", id=case.id(), options={"retry_policy": policy})
        await asyncio.sleep(0.2)  # most likely the task runs; otherwise the cancellation is merely earlier
        await order.cancel("enough")
    # The attempt may get it, as it does when Temporal repeats the task, or the next one.
    assert (await refused(order.result(30))).message in ("again", "canceled: enough")


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
