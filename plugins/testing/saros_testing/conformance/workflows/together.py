"""Workers that share tasks and take them over from each other (invariant 2)."""

from __future__ import annotations

import asyncio

from ...cases import TestApp
from ..suite import Case, behaviour, eventually

LIMIT_S = 45.0

STEPS = """
    local near = funcs.new():with_options({["activity.local"] = true})
    local workflow, log, ticks = require("workflow"), {}, 0
    assert(process.registry.register(input))
    coroutine.spawn(function() while true do time.sleep("30ms") ticks = ticks + 1 end end)
    local pending = time.after("100ms")
    for n = 1, 4 do
      local given = process.inbox():receive():payload():data()
      local late = time.after("20ms")
      log[n] = {
        given, funcs.call("app:echo", n), near:call("app:echo", n * 10), workflow.call("app:child", n * 100),
        workflow.side_effect(function() return n end), (late:receive()) ~= nil, workflow.version("v" .. n, 1, n),
      }
      workflow.attrs{memo = {steps = n}}
    end
    pending:receive()
    return {log, ticks > 0}
"""


@behaviour("§8", "an execution begun on one worker continues on another")
async def work_changes_hands(case: Case) -> None:
    child = 'time.sleep("10ms") return (funcs.call("app:echo", input))'
    app = await case.app(
        STEPS,
        workflows={"child": child},
        functions={
            "echo": "return input",
            "finds": "return process.registry.lookup(input)",
        },
    )
    works, rests = app, case.other(app)
    if rests is not works:
        await rests.app.stop_workers()
    name = case.id()
    order = await app.start("app:main", name, id=case.id())
    for n in range(1, 5):
        await order.signal("go", f"message {n}")

        async def done(steps: int = n) -> bool:
            return bool((await order.describe()).memo.get("steps") == steps)

        if n < 4:
            await eventually(done, f"step {n} is done", LIMIT_S)
            await works.app.stop_workers()
            works, rests = rests, works
            works.app.start_workers()
            assert await app.call("app:finds", name) == order.pid
    log, ticked = await order.result(LIMIT_S)
    assert log == [[f"message {n}", n, n * 10, n * 100, n, True, n] for n in range(1, 5)]
    assert ticked


@behaviour("§8", "several workers share the work: each of many executions, calls and messages is done once")
async def workers_share(case: Case) -> None:
    main = """
    local got = {process.inbox():receive():payload():data()}
    local future = funcs.async("app:echo", input)
    time.sleep((input % 5) .. "ms")
    local child = require("workflow").call("app:child", input)
    got[2] = process.inbox():receive():payload():data()
    return {got, future:response():receive():data(), child}
    """
    app = await case.app(main, workflows={"child": "return input + 1"}, functions={"echo": "return input"})

    async def one(number: int, first: TestApp, second: TestApp) -> None:
        order = await first.start("app:main", number, id=case.id())
        await second.app.get(order.id).signal("go", "first")
        await first.app.get(order.id).signal("go", "second")
        result = await second.app.get(order.id).result(LIMIT_S)
        assert result == [["first", "second"], number, number + 1]

    pair = app, case.other(app)
    await asyncio.gather(*(one(number, pair[number % 2], pair[1 - number % 2]) for number in range(12)))


@behaviour("§6", "a workflow's messages to a process arrive in order, whichever workers deliver them")
async def messages_in_order(case: Case) -> None:
    main = """
    local from = process.inbox():receive():from()
    for n = 1, 30 do
      process.send(from, "n", n)
      if n % 3 == 0 then time.sleep("1ms") end
    end
    """
    hears = """
    process.send(input, "go")
    local heard = {}
    for n = 1, 30 do heard[n] = process.inbox():receive():payload():data() end
    return heard
    """
    app = await case.app(main, functions={"hears": hears})
    for each in (app, case.other(app)):
        order = await app.start("app:main", id=case.id())
        assert await each.call("app:hears", order.pid) == list(range(1, 31))


@behaviour("§6", "the messages of a workflow to a process keep their order across its runs")
async def messages_across_runs(case: Case) -> None:
    main = """
    local from = input.from or process.inbox():receive():from()
    for n = input.sent + 1, input.sent + 3 do process.send(from, "n", n) end
    if input.sent < 9 then require("workflow").continue_as_new({from = from, sent = input.sent + 3}) end
    """
    hears = """
    process.send(input, "go")
    local heard = {}
    for n = 1, 12 do heard[n] = process.inbox():receive():payload():data() end
    return heard
    """
    app = await case.app(main, functions={"hears": hears})
    for each in (app, case.other(app)):
        order = await app.start("app:main", {"sent": 0}, id=case.id())
        assert await each.call("app:hears", order.pid) == list(range(1, 13))


@behaviour("§6", "the messages of a workflow to a process keep their order when it fails and is tried again")
async def messages_across_retries(case: Case) -> None:
    main = """
    local attempt = require("workflow").info().attempt
    for n = attempt * 3 - 2, attempt * 3 do process.send(input, "n", n) end
    if attempt < 4 then return nil, errors.new{message = "again", retryable = true} end
    """
    hears = """
    local retries = {initial_interval = 10, maximum_attempts = 4}
    local spawner = process.with_options({["workflow.id"] = input, ["workflow.retry_policy"] = retries})
    assert(spawner:spawn("app:main", "app:worker", process.pid()))
    local heard = {}
    for n = 1, 12 do heard[n] = process.inbox():receive():payload():data() end
    return heard
    """
    app = await case.app(main, functions={"hears": hears})
    for each in (app, case.other(app)):
        assert await each.call("app:hears", case.id()) == list(range(1, 13))


@behaviour("§6", "messages sent before an end arrive before its EXIT")
async def messages_before_the_end(case: Case) -> None:
    main = """
    local from = input or process.inbox():receive():from()
    for n = 1, 4 do process.send(from, "n", n) end
    if not input then require("workflow").continue_as_new(from) end
    """
    hears = """
    local heard, inbox, events = {}, process.inbox(), process.events()
    for each = 1, #input do
      heard[each] = {}
      process.monitor(input[each])
      process.send(input[each], "go")
      local ended = events:receive()
      while true do
        local found = channel.select{inbox:case_receive(), default = true}
        if found.default then break end
        table.insert(heard[each], found.value:payload():data())
      end
    end
    return heard
    """
    app = await case.app(main, functions={"hears": hears})
    for each in (app, case.other(app)):
        orders = [await app.start("app:main", id=case.id()) for _ in range(2)]
        heard = await each.call("app:hears", [order.pid for order in orders])
        assert heard == [[1, 2, 3, 4, 1, 2, 3, 4]] * 2


@behaviour("§6", "the end of a workflow does not overtake what its other coroutines send")
async def coroutines_send_before_the_end(case: Case) -> None:
    main = """
    local from, done = process.inbox():receive():from(), channel.new(1)
    for n = 1, 4 do coroutine.spawn(function() process.send(from, "n", n) end) end
    coroutine.spawn(function() done:send(true) end)
    done:receive()
    """
    hears = """
    local heard, inbox, events = {}, process.inbox(), process.events()
    process.monitor(input)
    process.send(input, "go")
    events:receive()
    while true do
      local found = channel.select{inbox:case_receive(), default = true}
      if found.default then return heard end
      table.insert(heard, found.value:payload():data())
    end
    """
    app = await case.app(main, workflows={"hears": hears})
    for each in (app, case.other(app)):
        order = await app.start("app:main", id=case.id())
        hearing = await each.start("app:hears", order.pid, id=case.id())
        assert await hearing.result(60) == [1, 2, 3, 4]
