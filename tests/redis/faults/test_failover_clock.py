"""A replica whose clock is hours off takes over: timers and leases are neither early nor late."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clocks import Clock

import saros
from saros_testing import eventually

HOURS = [-3 * 3_600, 3 * 3_600]
LATE_S = 45.0  # seconds: a busy machine may take its time, but not three hours
QUICK = ("--repl-diskless-sync-delay", "0")


class Pair:
    """A master, its replica with a clock of its own, and one way to whichever is the master."""

    def __init__(self, kind: Any, folder: Path, clock_library: Path) -> None:
        homes = [folder / name for name in ("first", "second")]
        for home in homes:
            home.mkdir()
        self.first = kind(homes[0], *QUICK)
        self.second = kind(homes[1], *QUICK, "--replicaof", "127.0.0.1", str(self.first.port))
        self.clock = Clock(clock_library, folder / "step")
        self.second.environment = self.clock.environment

    @contextlib.asynccontextmanager
    async def reached(self, proxied: Any, **options: object) -> AsyncIterator[tuple[Any, str]]:
        """Gives the proxy, and a URL that leads through it."""
        async with proxied(self.first.port) as proxy:
            yield proxy, self.first.url(**options).replace(f":{self.first.port}/", f":{proxy.port}/")

    async def fail_over(self, proxy: Any) -> None:
        """Kill the master once the replica has all its data, and promote the replica."""
        await eventually(self.first.is_replicated, "the replica has everything")
        proxy.cut_all()
        self.first.kill()
        with self.second.client() as client:
            client.replicaof("NO", "ONE")
        proxy.target, proxy.cut = self.second.port, False


@pytest.fixture(params=["redis", "valkey"])
def pair(
    request: pytest.FixtureRequest, clock_library: Path, tmp_path: Path, server_class: Any, valkey_class: Any
) -> Iterator[Pair]:
    made = Pair(server_class if request.param == "redis" else valkey_class, tmp_path, clock_library)
    try:
        made.first.start()
        made.second.start()
        yield made
    finally:
        made.first.kill()
        made.second.kill()


async def took(app: Any, id: str, begun: float) -> float:
    assert await app.get(id).result(LATE_S) == "slept"
    return time.monotonic() - begun


@pytest.mark.parametrize("hours", HOURS)
def test_timers_and_leases_outlive_a_failover(
    pair: Pair,
    hours: int,
    app_path: Path,
    worker: Callable[..., Any],
    proxied: Any,
    trace: Callable[[], Any],
    check_histories: Any,
) -> None:
    """Timers fire on time, live workers keep their activities, and the tasks of lost workers are taken over."""
    pair.clock.set(hours)

    async def main() -> None:
        async with pair.reached(proxied, lease="2s") as (proxy, url):
            lost = await asyncio.to_thread(worker(url).ready)
            async with saros.open(app_path, backend=url, workers=False) as app:
                ids = [
                    (await app.start("app:slow", {"n": n, "seconds": 60}, id=f"lost-{n}")).id for n in (1, 2)
                ]
                await eventually(lambda: len(trace()) == 2, "they run")
                app.start_workers()
                begun = time.monotonic()
                naps = {seconds: f"nap-{seconds}" for seconds in (1, 4, 6)}
                for seconds, id in naps.items():
                    await app.start("app:nap", f"{seconds}s", id=id)
                await app.start("app:nap", "1h", id="hour")
                lost.end()
                await app.start("app:waits", 9, id="waits")
                await eventually(lambda: 9 in [n for _pid, n in trace()], "it runs")
                await pair.fail_over(proxy)
                late = worker(url)  # this worker knows nothing of the time before the failover
                times = await asyncio.gather(*[took(app, id, begun) for id in naps.values()])
                assert all(found >= seconds for seconds, found in zip(naps, times, strict=True)), times
                await eventually(
                    lambda: sorted(n for _, n in trace()) == [1, 1, 2, 2, 9], "they were taken over"
                )
                (app_path / "open").touch()
                assert await app.get("waits").result(LATE_S) == 9
                assert (await app.get("hour").describe()).status == "running"
                assert [n for _, n in trace()].count(9) == 1  # its worker was never lost
                await check_histories(app, list(naps.values()))
                for id in ids:
                    await app.get(id).terminate("enough")
                late.end()

    asyncio.run(main())


@pytest.mark.parametrize("hours", HOURS)
def test_a_worker_that_comes_first_after_a_failover(
    pair: Pair, hours: int, app_path: Path, worker: Callable[..., Any], proxied: Any
) -> None:
    """It does not know the old clock, so it leaves the adjustment to workers that do."""
    pair.clock.set(hours)

    async def main() -> None:
        async with pair.reached(proxied, lease="1s") as (proxy, url):
            known = await asyncio.to_thread(worker(url).ready)
            async with saros.open(app_path, backend=url, workers=False) as app:
                await app.start("app:nap", "1h", id="hour")
                begun = time.monotonic()
                await app.start("app:nap", "5s", id="nap")
                await eventually(lambda: scheduled(app), "its timer is set")
                known.send(signal.SIGSTOP)  # it hears of the failover later than others
                await pair.fail_over(proxy)
                direct = url.replace(f":{proxy.port}/", f":{pair.second.port}/")
                await asyncio.to_thread(worker(direct).ready)
                await asyncio.sleep(1)
                known.send(signal.SIGCONT)
                assert await took(app, "nap", begun) >= 5
                assert (await app.get("hour").describe()).status == "running"

    asyncio.run(main())


async def scheduled(app: Any) -> bool:
    page = await app.backend.history("nap")
    return any(record.op == "timer" for record in page.records)
