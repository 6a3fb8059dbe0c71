"""Timers keep real time: none is early, none is much too late, and equal ones fire in order (§9, invariant 10)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from saros.model.background import Job

from ..suite import Case, behaviour

LATE_S = 0.25
SERVER_S = 1.0
"""The extra delay of a server in another process, which also serves other tests."""
BUSY = 10
"""The delay of a timer, as a multiple of the machine's delay with a plain sleep: several processes add to it."""


class Machine:
    """Measures how late a plain sleep is on this machine."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = Job(self._watch(), "watching how late the machine is")
        try:
            yield
        finally:
            await watching.end()

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.worst_s = max(self.worst_s, time.monotonic() - before - 0.01)


NAPS = """
    local late, done = {}, channel.new(20)
    local function nap(ms)
      coroutine.spawn(function()
        local before = time.now()
        time.sleep(ms * time.MILLISECOND)
        done:send(time.now():sub(before):nanoseconds() / 1e9 - ms / 1000)
      end)
    end
    for _, ms in ipairs{700, 20, 350, 150, 500, 1} do nap(ms) end
    time.sleep("50ms")
    nap(900)
    time.sleep("30ms")
    nap(100)
    for n = 1, 8 do late[n] = done:receive() end
    return late
"""


@behaviour(
    "§9", "no timer is early, or more than 250 ms late on an idle machine, whatever timers start after it"
)
async def timers_are_punctual(case: Case) -> None:
    parts: dict[str, Any] = {
        "functions": {"naps": NAPS},
        "workflows": {"calls": 'return (funcs.call("app:naps"))'},
    }
    app = await case.app(NAPS, **parts)
    await app.run("app:main", id=case.id())  # warm up
    machine = Machine()
    async with machine.watched():
        begun = time.monotonic()
        orders = [await app.start(entry, id=case.id()) for entry in ("app:main", "app:calls", "app:main")]
        took = time.monotonic() - begun
        late = [each for order in orders for each in await order.result(timeout=50)]
    assert len(late) == 24
    assert min(late) > -1e-9, late  # allows for rounding, since seconds are floats
    server_s = 0 if case.url.startswith("memory:") else SERVER_S
    assert max(late) <= LATE_S + server_s + BUSY * machine.worst_s + took, (late, machine.worst_s, took)


ORDER = """
    local order, done = {}, channel.new(40)
    local function note(name, wait)
      coroutine.spawn(function()
        wait()
        order[#order + 1] = name
        done:send(true)
      end)
    end
    local function after(channel)
      return function() channel:receive() end
    end
    for n = 1, 12 do note(n, function() time.sleep("200ms") end) end
    local first, second = time.timer("100ms"), time.timer("200ms")
    note("second", after(second:channel()))
    note("after", after(time.after("200ms")))
    first:reset("200ms")
    note("first", after(first:channel()))
    note("early", function() time.sleep("199ms") end)
    for _ = 1, 16 do done:receive() end
    return order
"""


@behaviour("§9", "timers of the same time fire in the order in which they were started, or reset")
async def equal_timers_in_order(case: Case) -> None:
    app = await case.app(
        ORDER, functions={"order": ORDER}, workflows={"calls": 'return (funcs.call("app:order"))'}
    )
    for entry in ("app:main", "app:calls"):
        order = await app.run(entry, id=case.id())
        assert sorted(map(str, order)) == sorted(
            map(str, [*range(1, 13), "second", "after", "first", "early"])
        )
        numbers = [name for name in order if isinstance(name, int)]
        assert numbers == list(range(1, 13)), order
        assert order[0] == "early", order
        ends = [name for name in order if name in ("second", "after", "first")]
        assert ends == ["second", "after", "first"], order


STORM = """
    local timers, fired, wrong, live = {}, 0, {}, 0
    local done = channel.new(1000)
    local function wait(t)
      coroutine.spawn(function()
        t.timer:channel():receive()
        if t.stopped then wrong[#wrong + 1] = "a stopped timer fired" end
        if time.now():before(t.due) then wrong[#wrong + 1] = "a timer was early" end
        t.fired = true
        if t.number % 10 == 2 then time.sleep("15ms") end
        done:send(true)
      end)
    end
    for n = 1, 500 do
      local ms = 50 + (n * 7919 + input * 31) % 400
      local t = {number = n, timer = time.timer(ms * time.MILLISECOND)}
      if n % 5 == 0 then
        t.timer:stop()
        t.stopped = true
      elseif n % 5 == 1 then
        ms = 50 + (n * 104729) % 300
        t.timer:reset(ms * time.MILLISECOND)
      end
      t.due = time.now():add(ms * time.MILLISECOND)
      if not t.stopped then live = live + 1 end
      timers[n] = t
      wait(t)
    end
    time.sleep("100ms")
    for n = 7, 500, 7 do
      local t = timers[n]
      if not t.stopped and not t.fired then
        if n % 2 == 0 and t.timer:stop() then
          t.stopped = true
          live = live - 1
        elseif n % 2 == 1 then
          t.due = time.now():add(time.parse_duration("120ms"))
          t.timer:reset("120ms")
        end
      end
    end
    for _ = 1, live do done:receive() end
    time.sleep("500ms")
    return wrong
"""


@behaviour("§9", "of 5,000 timers, many of them stopped and reset, each that is left fires once and in time")
async def a_storm_of_timers(case: Case) -> None:
    app = await case.app(STORM)
    orders = [await app.start("app:main", number, id=case.id()) for number in range(10)]
    for order in orders:
        assert await order.result(timeout=55) == []
