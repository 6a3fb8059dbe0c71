"""Timers, channels, coroutines (§5, §9)."""

from __future__ import annotations

from ..suite import Case, behaviour


@behaviour("§9", "time.sleep is durable, and the workflow's clock advances by its duration")
async def sleeps(case: Case) -> None:
    main = """
    local before = time.now()
    time.sleep("200ms")
    local spent = time.now():sub(before)
    return {spent:milliseconds() >= 200, time.sleep(0) == true, time.sleep(1 * time.MILLISECOND) == true}
    """
    assert await case.run(main) == [True, True, True]


@behaviour("§9", "timers fire in the order of their times, whatever the order of their starts")
async def timers_in_order(case: Case) -> None:
    main = """
    local order, done = {}, channel.new(3)
    for _, ms in ipairs({300, 100, 200}) do
      coroutine.spawn(function() time.sleep(ms * time.MILLISECOND) order[#order + 1] = ms done:send(true) end)
    end
    for _ = 1, 3 do done:receive() end
    return order
    """
    assert await case.run(main) == [100, 200, 300]


@behaviour("§9", "time.after and timer:stop: a stopped timer never fires")
async def timer_stops(case: Case) -> None:
    main = """
    local timer = time.timer("100ms")
    local stopped = timer:stop()
    local r = channel.select{timer:channel():case_receive(), time.after("300ms"):case_receive()}
    return {stopped, r.ok, r.channel == timer:channel()}
    """
    assert await case.run(main) == [True, True, False]


@behaviour("§5", "a select takes the first ready case, else blocks for exactly one")
async def selects(case: Case) -> None:
    main = """
    local a, b = channel.new(1), channel.new(1)
    local empty = channel.select{a:case_receive(), b:case_receive(), default = true}
    b:send("b") a:send("a")
    local first = channel.select{a:case_receive(), b:case_receive()}
    coroutine.spawn(function() time.sleep("50ms") a:send("late") end)
    b:receive()
    local late = channel.select{b:case_receive(), a:case_receive()}
    return {empty.default, first.value, first.channel == a, late.value, late.channel == a}
    """
    assert await case.run(main) == [True, "a", True, "late", True]


@behaviour("§5", "channels rendezvous, buffer, close and drain as in Go")
async def channels(case: Case) -> None:
    main = """
    local log, ch = {}, channel.new()
    coroutine.spawn(function() for i = 1, 3 do ch:send(i) end ch:close() end)
    while true do
      local v, ok = ch:receive()
      if not ok then break end
      log[#log + 1] = v
    end
    local buffered = channel.new(2)
    buffered:send("x") buffered:close() buffered:close()
    local x, xok = buffered:receive()
    local none, nok = buffered:receive()
    local raised = pcall(buffered.send, buffered, 1)
    return {log, x, xok, none == nil, nok, raised}
    """
    assert await case.run(main) == [[1, 2, 3], "x", True, True, False, False]


@behaviour("§2", "blocking calls block only their coroutine; the entry ends when main returns")
async def coroutines(case: Case) -> None:
    main = """
    local ticks = channel.new(10)
    coroutine.spawn(function() while true do time.sleep("20ms") ticks:send("tick") end end)
    return {(ticks:receive()), (ticks:receive())}
    """
    assert await case.run(main) == ["tick", "tick"]


@behaviour("§2", "a user's generator may block: the whole coroutine waits")
async def generators_block(case: Case) -> None:
    main = """
    local gen = coroutine.wrap(function()
      for i = 1, 3 do
        time.sleep("10ms")
        coroutine.yield((funcs.call("app:echo", i)))
      end
    end)
    local ok, r = pcall(function() time.sleep("10ms") return gen() + gen() + gen() end)
    return {ok, r}
    """
    assert await case.run(main, functions={"echo": "return input"}) == [True, 6]


@behaviour("§2", "clocks and random numbers are the run's own")
async def deterministic_facts(case: Case) -> None:
    main = """
    local t1, r1 = os.time(), math.random(1, 1000000)
    time.sleep("10ms")
    return {math.type(t1), t1 > 1600000000, r1 == math.floor(r1), os.clock() >= 0, #require("uuid").v4()}
    """
    assert await case.run(main) == ["integer", True, True, True, 36]
