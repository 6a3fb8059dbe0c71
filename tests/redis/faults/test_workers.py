"""Workers that are killed, stopped, drained, or have a wrong clock."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from clocks import Clock

import saros
from saros.model.background import Job
from saros_testing import eventually


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
            assert [await each.result(90) for each in simple] == [squares(8)] * 30
            assert [await each.result(90) for each in mixed] == [n * n + squares(3) + 13 for n in range(15)]
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
            assert [await each.result(90) for each in orders] == [squares(40)] * 10
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_local_calls_survive_workers_that_are_killed(
    server: Any, worker: Callable[..., Any], client: Any, trace: Callable[[], Any], check_histories: Any
) -> None:
    """The activities run in tasks that have committed; the worker that takes them over is killed, too."""
    url = server.url(lease="1s")

    async def main() -> None:
        async with client(url) as app:
            workers = [worker(url).ready()]
            orders = [
                await app.start("app:near", {"n": n * 10, "seconds": 3.0}, id=f"n{n}") for n in range(5)
            ]
            for times in (5, 10):
                await eventually(
                    lambda least=times: sum(n % 10 == 3 for _, n in trace()) >= least,
                    "all last calls have begun",
                )

                async def committed() -> bool:
                    return all([len(await order.history()) > 5 for order in orders])

                await eventually(committed, "their tasks have committed")
                workers.pop().end()
                workers.append(worker(url).ready())
            assert [await each.result(90) for each in orders] == [n * 30 + 6 for n in range(5)]
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
            async with asyncio.timeout(50):  # less than a lease
                assert [await each.result(60) for each in orders] == [squares(40)] * 10
            await check_histories(app, [each.id for each in orders])
            assert await asyncio.to_thread(second.end, signal.SIGTERM) == 0

    asyncio.run(main())


def set_worker(app_path: Path, **options: Any) -> None:
    index = app_path / "_index.yaml"
    data = yaml.safe_load(index.read_text())
    data["entries"][0]["worker_options"] = options
    index.write_text(yaml.safe_dump(data))


def test_s3_a_draining_worker_takes_nothing_more(
    server: Any,
    app_path: Path,
    worker: Callable[..., Any],
    client: Any,
    trace: Callable[[], Any],
    check_histories: Any,
) -> None:
    """It finishes the calls it has begun, under leases that it keeps, while another worker does all the rest."""
    set_worker(app_path, worker_stop_timeout="2m")
    url = server.url(lease="500ms")

    async def main() -> None:
        first = worker(url).ready()
        async with client(url) as app:
            old = [await app.start("app:waits", n, id=f"o{n}") for n in range(5)]
            await eventually(lambda: len(trace()) == 5, "all have begun")
            first.send(signal.SIGTERM)
            second = worker(url).ready()
            assert first.process.poll() is None  # it drains
            new = [await app.start("app:slow", {"n": n, "seconds": 0.01}, id=f"n{n}") for n in range(5, 25)]
            assert [await each.result(60) for each in new] == list(range(5, 25))
            assert first.process.poll() is None
            (app_path / "open").touch()
            assert await asyncio.to_thread(first.process.wait, 60) == 0
            assert [await each.result(60) for each in old] == list(range(5))
            await check_histories(app, [each.id for each in old + new])
            ran = trace()
            assert sorted(n for _, n in ran) == list(range(25))  # each once
            assert {n for pid, n in ran if pid == first.process.pid} == set(range(5))
            assert {pid for pid, n in ran if n >= 5} == {second.process.pid}

    asyncio.run(main())


def test_s4_a_crash_between_two_steps_of_a_queue_that_runs_one_at_a_time(
    server: Any, app_path: Path, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    set_worker(app_path, max_concurrent_activity_execution_size=1)
    url = server.url(lease="1s")

    async def main() -> None:
        first = worker(url).ready()
        async with client(url) as app:
            orders = [await app.start("app:steps", 40, id=f"s{n}") for n in range(4)]

            async def two_steps() -> bool:
                records = (await app.backend.history("s0")).records
                return sum(record.op == "done" for record in records) >= 2

            await eventually(two_steps, "two steps are recorded")
            first.end()
            assert (await app.backend.history("s0")).status == "running"
            await asyncio.to_thread(worker(url).ready)
            begun = time.monotonic()
            before = len((await app.backend.history("s0")).records)

            async def goes_on() -> bool:
                return len((await app.backend.history("s0")).records) > before + 1

            await eventually(goes_on, "the next step is recorded")
            assert time.monotonic() - begun < 1 + 1.5  # the lease, and what a busy machine needs
            assert [await each.result(90) for each in orders] == [squares(40)] * 4
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_workers_that_stop_and_start_again_leave_nothing_leased(
    server: Any, app_path: Path, client: Any, check_histories: Any
) -> None:
    """On one open app; a lease that ends would take a minute."""
    url = server.url(lease="60s")

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            orders = [await app.start("app:mixed", n, id=f"m{n}") for n in range(20)]
            for n in range(12):
                await asyncio.sleep(0.004 * n)
                await app.stop_workers()
                app.start_workers()
            assert [await each.result(90) for each in orders] == [n * n + squares(3) + 13 for n in range(20)]
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


async def oldest(redis: Any, tag: str) -> float:
    """Return the age in seconds of the oldest unfinished entry."""
    pipeline = redis.pipeline(transaction=False)
    for stream in ("ready:main", "act:main", "out"):
        pipeline.xrange(f"{tag}:{stream}", count=1)
    pipeline.time()
    *streams, (now, micros) = await asyncio.to_thread(pipeline.execute)
    ages = [now + micros / 1e6 - int(found[0][0].split(b"-")[0]) / 1e3 for found in streams if found]
    return max(ages, default=0.0)


def test_s16_a_rolling_restart(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    """Of five workers, one is replaced each second; every third is killed, the others shut down gracefully."""
    url = server.url(prefix="rolling", lease="2s", attempts=100)
    worst = 0.0
    starts: list[float] = []  # how long each worker took, while the others came and went
    working: list[Any] = []
    gone = gap = 0.0  # since when there is no worker, and the longest such time

    async def begin(started: Any, workers: list[Any]) -> None:
        nonlocal gap
        begun = time.monotonic()
        with contextlib.suppress(AssertionError):  # it may be asked to go before it is ready
            await asyncio.to_thread(started.ready)
        starts.append(time.monotonic() - begun)
        if started in workers:
            gap = gap if working else max(gap, time.monotonic() - gone)
            working.append(started)

    async def watch(redis: Any) -> None:
        nonlocal worst
        while True:
            worst = max(worst, await oldest(redis, "{rolling:0}"))
            await asyncio.sleep(0.02)

    async def main() -> None:
        workers = [worker(url) for _ in range(5)]
        nonlocal gone
        for each in workers:
            await asyncio.to_thread(each.ready)
        working[:] = workers
        beginning = []
        with server.client() as redis:
            async with client(url) as app:
                watching = asyncio.create_task(watch(redis))
                orders = []
                for second in range(9):
                    for n in range(10):
                        order = {"n": n, "seconds": 0.3}
                        orders += [
                            await app.start("app:slow", order, id=f"s{second}-{n}-{k}") for k in range(2)
                        ]
                        await asyncio.sleep(0.1)
                    number = signal.SIGKILL if second % 3 == 1 else signal.SIGTERM
                    leaving = workers.pop(0)
                    leaving.send(number)
                    if leaving in working:
                        working.remove(leaving)
                        gone = time.monotonic()
                    workers.append(worker(url))
                    beginning.append(Job(begin(workers[-1], workers), "the start of a worker"))
                assert [await each.result(60) for each in orders] == [
                    n for n in range(10) for _ in range(2)
                ] * 9
                watching.cancel()
                await asyncio.wait({each.task for each in beginning})
                await check_histories(app, [each.id for each in orders])
        print(
            f"longest wait in a rolling restart: {worst:.2f} s; "
            f"a process starts in up to {max(starts):.2f} s; none was there for {gap:.2f} s"
        )
        # The lease, a second, and its own time; as long as no worker was there; and as long as this machine,
        # which starts processes all along, takes to start one.
        assert worst < 2 + 1 + 0.3 + gap + max(1, *starts)

    asyncio.run(main())


def test_s24_clocks_that_differ_by_minutes(
    server: Any,
    worker: Callable[..., Any],
    client: Any,
    check_histories: Any,
    clock_library: Path,
    tmp_path: Path,
) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        for seconds in (600, -600):
            clock = Clock(clock_library, tmp_path / f"step{seconds}")
            clock.set(seconds)
            worker(url, **clock.environment).ready()
        async with client(url) as app:
            begun = time.monotonic()
            naps = [await app.start("app:nap", "300ms", id=f"n{n}") for n in range(6)]
            assert [await each.result(90) for each in naps] == ["slept"] * 6
            assert 0.3 <= time.monotonic() - begun < 8
            orders = [await app.start("app:mixed", 1, id=f"m{n}") for n in range(6)]
            assert [await each.result(90) for each in orders] == [1 + squares(3) + 13] * 6
            await check_histories(app, [each.id for each in naps + orders])
            times = [record.time for record in (await app.backend.history("n0")).records]
            assert all(abs(each / 1e9 - time.time()) < 60 for each in times)

    asyncio.run(main())


def test_s14_code_that_blocks_the_event_loop_keeps_its_lease(
    server: Any, worker: Callable[..., Any], client: Any, app_path: Path
) -> None:
    url = server.url(lease="500ms")

    async def main() -> None:
        first = worker(url).ready()
        async with client(url) as app:
            order = await app.start("app:blocks", 1.8)
            await asyncio.sleep(0.3)
            worker(url).ready()
            assert await order.result(90) == "blocked"
            assert (app_path / "block.runs").read_text() == "x"
        first.end()

    asyncio.run(main())


def test_s22_a_call_that_kills_its_workers_is_set_aside_and_can_be_released(
    server: Any, worker: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    url = server.url(lease="500ms", attempts=3)
    antidote = tmp_path / "antidote"

    async def main() -> None:
        async with client(url) as app:
            poisoned = await app.start("app:poisoned", str(antidote))
            orders = [await app.start("app:steps", 5) for n in range(5)]
            running = worker(url)
            while not (await poisoned.describe()).problem:
                if running.process.poll() is not None:
                    running = worker(url)
                await asyncio.sleep(0.05)
            if running.process.poll() is not None:
                worker(url)
            assert "workers in a row were lost" in (await poisoned.describe()).problem
            assert [await each.result(60) for each in orders] == [squares(5)] * 5
            antidote.touch()
            assert await app.backend.store.release(poisoned.id)
            assert await poisoned.result(60) == "alive"

    asyncio.run(main())
