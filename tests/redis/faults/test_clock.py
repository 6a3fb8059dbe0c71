"""The server's clock is set by hours: timers, timeouts and leases are neither early nor late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.engine.runs import first
from saros.model.clock import steady_ns
from saros.model.execution import StartRequest, new_id
from saros_redis.options import parse
from saros_redis.server.server_clock import Steady
from saros_redis.store import RedisStore
from saros_testing import eventually, lua_app

HOURS = [-3 * 3_600, 3 * 3_600]
LATE_S = 45.0  # seconds: a busy machine may take its time, but not three hours


@pytest.fixture(params=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, own_clock: Any, tmp_path: Path, server_class: Any, valkey_class: Any
) -> Iterator[Any]:
    """A server with a clock of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    started = (server_class if request.param == "redis" else valkey_class)(folder)
    started.clock = own_clock
    started.environment = own_clock.environment
    started.start()
    yield started
    started.kill()


APP: dict[str, dict[str, str]] = {
    "workflows": {
        "sleeps": """
            local before = time.now()
            local after = time.after("1500ms")
            time.sleep("1s")
            after:receive()
            time.sleep("500ms")
            return time.now():sub(before):milliseconds()
        """,
        "retries": """
            local options = {["activity.retry_policy"] = {initial_interval = 700, maximum_attempts = 3},
                             ["activity.schedule_to_close_timeout"] = "1m"}
            return funcs.new():with_options(options):call("app:flaky")
        """,
        "limited": """
            local options = {["activity.schedule_to_close_timeout"] = 1500}
            local _, err = funcs.new():with_options(options):call("app:endless")
            return err:kind()
        """,
        "again": """
            if input < 3 then
              time.sleep("500ms")
              return require("workflow").continue_as_new(input + 1)
            end
            time.sleep("1h")
        """,
        "steady": 'return funcs.call("app:slow")',
    },
    "functions": {
        "flaky": """
            local attempt = require("activity").info().attempt
            if attempt < 3 then return nil, errors.new{message = "busy", retryable = true} end
            return attempt
        """,
        "endless": 'time.sleep("1h")',
        "slow": 'time.sleep("3s") return require("activity").info().attempt',
    },
}


@pytest.mark.parametrize("hours", HOURS)
def test_a_servers_clock_is_set_while_workers_run(server: Any, hours: int, tmp_path: Path) -> None:
    path = lua_app(tmp_path / "app", **APP)
    url = server.url(lease="2s")

    async def main() -> None:
        async with saros.open(path, backend=url) as app, saros.open(path, backend=url):
            assert await (await app.start("app:retries")).result(timeout=LATE_S) == 3  # all are at work

            async def took(entry: str, *args: Any, **options: Any) -> tuple[float, Any]:
                begun = time.monotonic()
                try:
                    result = await (await app.start(entry, *args, options=options)).result(timeout=LATE_S)
                except saros.Error as error:
                    result = error.message
                return time.monotonic() - begun, result

            waiting = [
                asyncio.create_task(took("app:sleeps")),
                asyncio.create_task(took("app:sleeps", start_delay=1_500)),
                asyncio.create_task(took("app:retries")),
                asyncio.create_task(took("app:limited")),
                asyncio.create_task(took("app:again", 1, execution_timeout=2_500)),
                asyncio.create_task(took("app:again", 1, run_timeout=2_000)),
                asyncio.create_task(took("app:steady")),
            ]
            await asyncio.sleep(0.4)
            server.clock.set(hours)
            slept, delayed, retried, limited, expired, ended, steady = await asyncio.gather(*waiting)
            assert slept[0] >= 2.0
            assert slept[1] >= 2_000
            assert delayed[0] >= 3.5
            assert retried[0] >= 2.1
            assert retried[1] == 3
            assert limited[0] >= 1.5
            assert limited[1] == "Timeout"
            assert expired[0] >= 2.5
            assert expired[1] == "timed out after 2.5 s"
            assert ended[0] >= 3.0
            assert ended[1] == "timed out after 2 s"
            assert steady == (steady[0], 1)  # no other worker took its task over
            server.clock.set(0)
            assert (await took("app:sleeps"))[0] >= 2.0

    asyncio.run(main())


def test_a_servers_clock_is_set_back_while_nobody_works(server: Any, tmp_path: Path) -> None:
    path = lua_app(tmp_path / "app", **APP)
    url = server.url()

    async def main() -> None:
        async with saros.open(path, backend=url) as app:
            order = await app.start("app:sleeps", id="order")
            await eventually(lambda: len_of(server, url, "tm") == 2, "its timers are set")
        server.clock.set(HOURS[0])
        async with saros.open(path, backend=url) as app:
            order = app.get("order")
            assert await order.result(timeout=LATE_S) >= 2_000

    asyncio.run(main())


def len_of(server: Any, url: str, key: str) -> int:
    with server.client() as redis:
        return int(redis.zcard(f"{{{url.rpartition('=')[2]}:0}}:{key}"))


@pytest.mark.parametrize("hours", HOURS)
def test_the_task_of_a_lost_worker_is_taken_over(server: Any, hours: int) -> None:
    url = server.url(lease="1s")

    async def main() -> None:
        lost, other = RedisStore(parse(url)), RedisStore(parse(url))
        await lost.open()
        await other.open()
        keeping = asyncio.create_task(other.run())
        request = StartRequest("order", "app:main", "main", "w", "q", request_id=new_id())
        await lost.start(first(request, lost.clock.now()), request)
        async with asyncio.timeout(LATE_S):
            (task,) = await lost.take(("q",), 1)
        lost._leases.clear()  # nothing renews the lease any more
        await eventually(lambda: other._partitions.steady[0].known() > 0, "the other has seen the clock")
        server.clock.set(hours)
        async with asyncio.timeout(LATE_S):
            (again,) = await other.take(("q",), 1)
        assert again.run == task.run
        assert again.fence != task.fence
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await other.close()
        await lost.close()

    asyncio.run(main())


def test_a_process_that_stood_still_does_not_move_the_others_time(server: Any) -> None:
    url = server.url()

    async def main() -> None:
        stores = [RedisStore(parse(url)) for _ in range(2)]
        for store in stores:
            await store.open()
        tasks = [asyncio.create_task(store.run()) for store in stores]
        await eventually(
            lambda: all(store._partitions.steady[0].known() > 0 for store in stores), "both are at work"
        )
        still = stores[1]._partitions.steady[0]
        assert still._least is not None
        still._least -= 60 * 10**9  # as if its clock had stopped for a minute
        still._most -= 60 * 10**9
        await eventually(
            lambda: abs(still.known() - stores[0]._partitions.steady[0].known()) < 10**7, "it noticed"
        )
        with server.client() as redis:
            tag = stores[0]._partitions.keys.tags[0]
            assert int(redis.hget(f"{tag}:x:steady", "skew") or 0) == 0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_what_a_reply_tells_of_the_clock() -> None:
    steady, second = Steady(), 10**6
    sent = steady_ns()
    assert steady.known() == -1
    assert steady.heard(5 * second, sent) == 0
    assert steady.known() >= 5 * second
    assert (
        steady.heard(steady.known() - second, steady_ns() - 2 * 10**9) == 0
    )  # it was under way for two seconds
    step = steady.heard(steady.known() + 100 * second, steady_ns())
    assert step == pytest.approx(100 * second, abs=second)
    assert steady.heard(steady.known(), steady_ns()) == 0
    step = steady.heard(steady.known() - 100 * second, steady_ns())
    assert step == pytest.approx(-100 * second, abs=second)
