"""What becomes of children when the runs that started them end (§8)."""

from __future__ import annotations

import asyncio

from saros.model.errors import CANCELED
from saros.model.execution import RUNNING

from ...cases import TestApp
from ..suite import Case, behaviour, eventually, refused
from .helpers import run_is, status

WAITS = "process.inbox():receive() return 1"
LATER = 'process.with_options({["workflow.id"] = input}):spawn("app:waits", "app:worker") return 1'
MANY = 80  # more than one batch of the outbox


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
    await eventually(run_is(app, f"{id}terminate", "terminated"), "one child is terminated")
    await eventually(run_is(app, f"{id}request_cancel", "canceled"), "one child is cancelled")
    assert await status(app, f"{id}abandon") == RUNNING
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
        await eventually(run_is(app, other, "completed"), "a child has ended")
        await app.start("app:waits", id=other)
    await order.signal("go")
    assert await order.result(30) is True
    await _settled(case, app)
    for other in others:
        assert await status(app, other) == RUNNING
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
        await eventually(run_is(app, f"{id}-1", RUNNING), "the first child runs", 45)
        await order.terminate("at once")
        await refused(order.result(30))
    else:
        assert await order.result(30) is True
    await _settled(case, app)

    async def none() -> bool:
        found = await asyncio.gather(*[status(app, f"{id}-{n}") for n in range(1, MANY + 1)])
        return RUNNING not in found

    await eventually(none, "no child runs")
    await _settled(case, app)
    assert await none()


async def _settled(case: Case, app: TestApp) -> None:
    """Wait until earlier requests of executions are carried out: another parent and its child end."""
    id = case.id()
    await app.run("app:later", f"{id}-c", id=id)
    await eventually(run_is(app, f"{id}-c", "terminated", ""), "a later child has ended, too")


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
    await eventually(run_is(app, f"{id}-c", RUNNING), "the child runs")
    await order.cancel("enough")
    assert await order.result(30) == [True, CANCELED]
    await eventually(run_is(app, f"{id}-c", "canceled"), "the child is cancelled")
