"""Programs that compute for long take turns with everything else in the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from saros.model.turns import SHORT_S, TURN_S, Turns
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


def test_queries_that_compute_take_turns(tmp_path: Path) -> None:
    asks = BUSY + "require('workflow').on_query('busy', busy) process.inbox():receive()"

    async def scenario() -> tuple[float, float]:
        async with TestApp(lua_app(tmp_path, workflows={"asked": asks}), "memory://") as app:
            order = await app.start("app:asked")
            alone = await longest_pause(asyncio.create_task(order.query("busy")))

            async def twenty() -> None:
                await asyncio.gather(*(order.query("busy") for _ in range(20)))

            return alone, await longest_pause(asyncio.create_task(twenty()))

    alone, together = asyncio.run(scenario())
    assert together < 5 * (alone + TURN_S)


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


def test_steps_that_come_again_and_again_keep_neither_others_nor_the_loop_waiting() -> None:
    async def scenario(seconds: float) -> tuple[int, int]:
        turns, steps = Turns(), 0

        def step() -> None:  # of an actor whose mailbox is never empty
            nonlocal steps
            steps += 1
            turns.used(seconds)
            if steps < 1_000:
                turns.wait(step)

        turns.used(2 * TURN_S)
        first = asyncio.create_task(turns.step(lambda: steps))
        await asyncio.sleep(0)
        turns.wait(step)
        second = asyncio.create_task(turns.step(lambda: steps))
        return await first, await second

    for seconds in (0.0, SHORT_S / 2, 2 * TURN_S):
        first, second = asyncio.run(scenario(seconds))
        assert first == 0
        assert second < 10


def test_many_short_steps_end_a_turn_together() -> None:
    async def scenario() -> None:
        turns = Turns()
        for _ in range(round(TURN_S / SHORT_S) * 2 + 2):
            turns.used(SHORT_S / 2)
        assert turns.over()
        assert await turns.step(lambda: 1) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_a_cancelled_step_passes_its_turn_on(cancelled: int) -> None:
    async def scenario() -> list[int]:
        turns, log = Turns(), list[int]()
        turns.used(2 * TURN_S)
        steps = [asyncio.create_task(turns.step(lambda n=n: log.append(n))) for n in range(3)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(steps[cancelled].cancel)  # just after the first is called
        await asyncio.wait(steps)
        assert not turns.over()
        return log

    assert asyncio.run(scenario()) == [n for n in range(3) if n != cancelled]


@pytest.mark.parametrize("rounds", range(5))
def test_turns_go_on_in_another_loop(rounds: int) -> None:
    turns = Turns()

    async def tired() -> asyncio.Task[int]:
        turns.used(2 * TURN_S)
        task = asyncio.create_task(turns.step(lambda: 1))
        for _ in range(rounds):
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(tired())  # the loop stops before the step, or before its turn
    try:
        assert asyncio.run(turns.step(lambda: 2)) == 2
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.wait({task}))
        loop.close()


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
