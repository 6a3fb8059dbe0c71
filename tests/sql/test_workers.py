"""Several worker processes on one file: killed, stopped, waiting for one another."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saros_testing import eventually


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def test_workers_killed_again_and_again(
    run: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    """Nothing that was acknowledged is lost, nothing is done twice, and messages keep their order."""
    chance = random.Random(1)

    async def main() -> None:
        workers = [worker() for _ in range(4)]
        async with client() as app:
            simple = [await app.start("app:steps", 8, id=f"s{n}") for n in range(20)]
            mixed = [await app.start("app:mixed", n, id=f"m{n}") for n in range(10)]
            reader = await app.start("app:letters", 30, id="letters")
            for number in range(10):
                await asyncio.sleep(chance.uniform(0.1, 0.4))
                for letter in range(3):
                    await reader.signal("letter", number * 3 + letter)
                workers.pop(0).end()
                workers.append(worker())
            assert [await each.result(90) for each in simple] == [squares(8)] * 20
            assert [await each.result(90) for each in mixed] == [n * n + squares(3) + 13 for n in range(10)]
            assert await reader.result(90) == list(range(30))
            await check_histories(app, [each.id for each in simple + mixed])

    run(main())


def test_a_killed_worker_is_noticed_before_its_lease_ends(
    run: Any, worker: Any, app_path: Any, file: Any
) -> None:
    """Its socket answers no more."""
    import saros

    async def main() -> None:
        async with saros.open(app_path, backend=f"sqlite:///{file}?lease=10m", workers=False) as app:
            first = worker().ready()
            order = await app.start("app:steps", 200, id="long")

            async def begun() -> bool:
                return len(await order.history()) > 5

            await eventually(begun, "it has begun")
            first.end()
            second = worker().ready()
            assert await order.result(90) == squares(200)
            second.end(signal.SIGTERM)

    run(main())


def stop_between_transactions(worker: Any, file: Path) -> None:
    """Stop a worker between transactions: SQLite lets nobody write while a process is stopped inside one."""
    while True:
        worker.send(signal.SIGSTOP)
        probe = sqlite3.connect(file, timeout=0.3, isolation_level=None)
        with contextlib.closing(probe), contextlib.suppress(sqlite3.OperationalError):
            probe.execute("BEGIN IMMEDIATE")
            probe.execute("ROLLBACK")
            return
        worker.send(signal.SIGCONT)
        time.sleep(0.05)


def test_a_stopped_worker_wakes_after_its_lease(
    run: Any, worker: Callable[..., Any], client: Any, check_histories: Any, file: Path
) -> None:
    async def main() -> None:
        frozen = worker().ready()
        async with client() as app:
            orders = [await app.start("app:steps", 40, id=f"s{n}") for n in range(5)]

            async def begun() -> bool:
                return len(await orders[0].history()) > 5

            await eventually(begun, "the first has begun")
            await asyncio.to_thread(stop_between_transactions, frozen, file)
            worker().ready()
            await asyncio.sleep(2.5)
            frozen.send(signal.SIGCONT)
            assert [await each.result(90) for each in orders] == [squares(40)] * 5
            await check_histories(app, [each.id for each in orders])

    run(main())


def test_eight_processes_write_at_once(run: Any, worker: Callable[..., Any], client: Any) -> None:
    """They wait for one another, and nobody is refused."""

    async def main() -> None:
        for each in [worker() for _ in range(7)]:
            each.ready()
        async with client() as app:
            orders = [await app.start("app:steps", 10) for _ in range(40)]
            assert [await each.result(90) for each in orders] == [squares(10)] * 40

    run(main())


def test_another_process_wakes_a_worker_at_once(run: Any, worker: Callable[..., Any], client: Any) -> None:
    """It does not wait until it looks by itself, once a second."""

    async def main() -> None:
        worker().ready()
        async with client() as app:
            await (await app.start("app:steps", 1)).result(60)
            times = []
            for _ in range(15):
                begun = time.monotonic()
                await (await app.start("app:steps", 1)).result(60)
                times.append(time.monotonic() - begun)
            assert sorted(times)[7] < 0.5

    run(main())
