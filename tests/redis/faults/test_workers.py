"""Workers that are killed, stopped, drained, or have a wrong clock."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def test_workers_killed_again_and_again(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = server.url(lease="1s", attempts=100)
    chance = random.Random(1)

    async def main() -> None:
        workers = [worker(url) for _ in range(2)]
        async with client(url) as app:
            simple = [await app.start("app:steps", 8, id=f"s{n}") for n in range(30)]
            mixed = [await app.start("app:mixed", n, id=f"m{n}") for n in range(15)]
            for _ in range(5):
                await asyncio.sleep(chance.uniform(0.4, 0.9))
                workers.pop(0).end()
                workers.append(worker(url))
            assert [await each.result(30) for each in simple] == [squares(8)] * 30
            assert [await each.result(30) for each in mixed] == [n * n + squares(3) + 13 for n in range(15)]
            await check_histories(app, [each.id for each in simple + mixed])

    asyncio.run(main())


def test_a_stopped_worker_wakes_after_its_lease(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        frozen = worker(url).ready()
        async with client(url) as app:
            orders = [await app.start("app:steps", 40, id=f"s{n}") for n in range(10)]
            await asyncio.sleep(0.3)
            frozen.send(signal.SIGSTOP)
            worker(url).ready()
            await asyncio.sleep(2.0)
            frozen.send(signal.SIGCONT)
            assert [await each.result(30) for each in orders] == [squares(40)] * 10
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_a_drained_worker_hands_over_without_waiting_for_leases(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = server.url(lease="60s")

    async def main() -> None:
        first = worker(url).ready()
        async with client(url) as app:
            orders = [await app.start("app:steps", 40, id=f"s{n}") for n in range(10)]
            await asyncio.sleep(0.2)
            second = worker(url).ready()
            assert await asyncio.to_thread(first.end, signal.SIGTERM) == 0
            assert [await each.result(15) for each in orders] == [squares(40)] * 10
            await check_histories(app, [each.id for each in orders])
            assert await asyncio.to_thread(second.end, signal.SIGTERM) == 0

    asyncio.run(main())


def test_clocks_that_differ_by_minutes(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        worker(url, CLOCK_OFF_S="600").ready()
        worker(url, CLOCK_OFF_S="-600").ready()
        async with client(url) as app:
            begun = time.monotonic()
            naps = [await app.start("app:nap", "300ms", id=f"n{n}") for n in range(6)]
            assert [await each.result(10) for each in naps] == ["slept"] * 6
            assert 0.3 <= time.monotonic() - begun < 8
            orders = [await app.start("app:mixed", 1, id=f"m{n}") for n in range(6)]
            assert [await each.result(10) for each in orders] == [1 + squares(3) + 13] * 6
            await check_histories(app, [each.id for each in naps + orders])
            times = [record.time for record in (await app.backend.history("n0")).records]
            assert all(abs(each / 1e9 - time.time()) < 60 for each in times)

    asyncio.run(main())


def test_code_that_blocks_the_event_loop_keeps_its_lease(
    server: Any, worker: Callable[..., Any], client: Any, app_path: Path
) -> None:
    url = server.url(lease="500ms")

    async def main() -> None:
        first = worker(url).ready()
        async with client(url) as app:
            order = await app.start("app:blocks", 1.8)
            await asyncio.sleep(0.3)
            worker(url).ready()
            assert await order.result(10) == "blocked"
            assert (app_path / "block.runs").read_text() == "x"
        first.end()

    asyncio.run(main())


def test_a_call_that_kills_its_workers_is_set_aside_and_can_be_released(
    server: Any, worker: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    url = server.url(lease="500ms", attempts=3)
    antidote = tmp_path / "antidote"

    async def main() -> None:
        async with client(url) as app:
            poisoned = await app.start("app:poisoned", str(antidote))
            orders = [await app.start("app:steps", 5) for n in range(5)]
            deadline = time.monotonic() + 25
            running = worker(url)
            while not (await poisoned.describe()).problem:
                assert time.monotonic() < deadline
                if running.process.poll() is not None:
                    running = worker(url)
                await asyncio.sleep(0.05)
            if running.process.poll() is not None:
                worker(url)
            assert "workers in a row were lost" in (await poisoned.describe()).problem
            assert [await each.result(15) for each in orders] == [squares(5)] * 5
            antidote.touch()
            assert await app.backend.store.release(poisoned.id)
            assert await poisoned.result(15) == "alive"

    asyncio.run(main())
