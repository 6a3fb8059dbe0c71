"""Many deadlines that are due at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import saros
from saros_redis.parts.deadlines import LIMIT
from saros_testing import lua_app

ORDERS, TIMERS = 100, 50
DELAYED = 5_000
MAIN = """
    if input == 0 then return 0 end
    local ended = channel.new()
    for n = 1, input do
      coroutine.spawn(function()
        time.sleep("1h")
        ended:send(n)
      end)
    end
    local sum = 0
    for _ = 1, input do sum = sum + ended:receive() end
    return sum
"""


def test_deadlines_that_are_due_at_once(new_server: Any, tmp_path: Path) -> None:
    """All were set while somebody worked, or could at least start; they are due when a worker comes back.

    What bounds the time that one script holds the server is how much it does: that is asserted, and the time
    itself, which a busy machine stretches, is only printed.
    """
    server = new_server("--slowlog-log-slower-than", "1000", "--slowlog-max-len", "1000")
    path = lua_app(tmp_path / "app", workflows={"main": MAIN})
    url = server.url()
    prefix = url.rpartition("=")[2]
    fired: list[int] = []

    async def main() -> None:
        async with saros.open(path, backend=url) as app:
            for number in range(ORDERS):
                await app.start("app:main", TIMERS, id=f"timers-{number}")
            await until(lambda: redis.zcard(f"{{{prefix}:0}}:tm") == ORDERS * TIMERS)
        async with saros.open(path, backend=url, workers=False) as app:
            for first in range(
                0, DELAYED, 500
            ):  # all at once, the last would exceed its time on a busy machine
                starting = [
                    app.start("app:main", 0, id=f"delayed-{number}", options={"start_delay": 1})
                    for number in range(first, first + 500)
                ]
                await asyncio.gather(*starting)
            assert redis.zcard(f"{{{prefix}:0}}:tm") == ORDERS * TIMERS + DELAYED
            make_due(redis, f"{{{prefix}:0}}:tm")
            redis.slowlog_reset()
            count_fired(app.backend.store._partitions, fired)
            app.start_workers()
            for number in range(ORDERS):
                order = app.get(f"timers-{number}")
                assert await order.result(60) == TIMERS * (TIMERS + 1) // 2
                names = [line.name for line in await order.history()]
                assert names.count("TimerFired") == TIMERS
            for number in range(DELAYED):
                assert await app.get(f"delayed-{number}").result(60) == 0

    with server.client() as redis:
        asyncio.run(main())
        slowest = max((each["duration"] for each in redis.slowlog_get(1_000)), default=0)
    print(f"the slowest script took {slowest / 1_000:.1f} ms")
    assert sum(fired) == ORDERS * TIMERS + DELAYED  # each once
    assert max(fired) == LIMIT


def count_fired(partitions: Any, fired: list[int]) -> None:
    """Note how many deadlines each script brings from now on."""
    run = partitions.run

    async def counting(name: str, *args: Any) -> Any:
        reply = await run(name, *args)
        if name == "fire":
            fired.append(int(reply[1]))
        return reply

    partitions.run = counting


def make_due(redis: Any, timers: str) -> None:
    """As if an hour had passed: what is due first becomes the time of all."""
    found = redis.zrange(timers, 0, -1, withscores=True)
    redis.zadd(timers, {member: found[0][1] for member, _due in found})


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(1_500):
        if reached():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError
