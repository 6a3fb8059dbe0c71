"""Programs that compute for long take turns with everything else in the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from saros.model.turns import TURN_S, Turns
from saros_testing import TestApp, eventually, lua_app

BUSY = "local function busy() for i = 1, 4000000 do end end "
STEPS = BUSY + "for _ = 1, 2 do busy() funcs.call('app:echo', 1) end"
LONG = """
local own = process.pid()
for i = 1, 3000 do process.send(own, "topic", i) process.inbox():receive() end
process.inbox():receive()
"""


async def longest_pause(work: asyncio.Task[Any]) -> float:
    """The most CPU seconds of this thread between two rounds of the loop while `work` runs."""
    longest, last = 0.0, time.thread_time()
    while not work.done():
        await asyncio.sleep(0.001)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    await work
    return longest


@pytest.mark.parametrize("kind", ["workflows", "functions"])
def test_many_programs_that_compute_leave_room_for_others(kind: str, tmp_path: Path) -> None:
    async def scenario() -> tuple[float, float]:
        functions = {"echo": "return input", "functions": STEPS}
        path = lua_app(tmp_path, workflows={"workflows": STEPS}, functions=functions)
        async with TestApp(path, "memory://") as app:
            run = app.run if kind == "workflows" else app.call
            alone = await longest_pause(asyncio.create_task(run(f"app:{kind}")))

            async def twenty() -> None:
                await asyncio.gather(*(run(f"app:{kind}") for _ in range(20)))

            return alone, await longest_pause(asyncio.create_task(twenty()))

    alone, together = asyncio.run(scenario())
    assert together < 5 * (alone + TURN_S)  # without turns it is 20 times as long as alone


def test_steps_wait_in_order_once_a_turn_is_over() -> None:
    async def scenario() -> list[object]:
        turns, log = Turns(), list[object]()
        loop = asyncio.get_running_loop()
        turns.used(2 * TURN_S)
        assert turns.over()
        loop.call_later(0, log.append, "a timer")
        turns.wait(lambda: (log.append(1), turns.used(2 * TURN_S))[0])
        turns.wait(lambda: log.append(2))
        loop.call_later(0.001, log.append, "another timer")
        log.append(await turns.step(lambda: 3))
        assert not turns.over()
        return log

    log = asyncio.run(scenario())
    assert [each for each in log if isinstance(each, int)] == [1, 2, 3]


def test_turns_go_on_in_another_loop() -> None:
    turns = Turns()

    async def tired() -> int:
        turns.used(2 * TURN_S)  # the loop closes before its next round
        return 1

    async def rested() -> int:
        return await turns.step(lambda: 2)

    assert [asyncio.run(tired()), asyncio.run(rested())] == [1, 2]


def test_work_in_parts_gives_its_result_or_its_failure() -> None:
    closed: list[int] = []

    def parts(count: int) -> Generator[None, None, int]:
        try:
            for _ in range(count):
                yield
            if count == 2:
                raise ValueError("two")
            return count
        finally:
            closed.append(count)

    async def scenario() -> None:
        turns = Turns()
        assert await turns.run(parts(3)) == 3
        with pytest.raises(ValueError, match="two"):
            await turns.run(parts(2))
        turns.used(2 * TURN_S)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await turns.run(parts(5))

    asyncio.run(scenario())
    assert closed[:2] == [3, 2]


def test_a_long_history_is_replayed_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saros.model.turns.TURN_S", TURN_S / 10)

    async def scenario() -> tuple[float, float]:
        path = lua_app(tmp_path, workflows={"long": LONG})
        async with TestApp(path, "memory://") as app:
            order = await app.start("app:long")

            async def is_long() -> bool:
                return (await order.describe()).history_length > 6000

            await eventually(is_long)
            began = time.thread_time()
            pause = await longest_pause(asyncio.create_task(order.stack()))
            return pause, time.thread_time() - began

    pause, whole = asyncio.run(scenario())
    assert pause < whole / 2
