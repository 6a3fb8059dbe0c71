"""A server that is restarted, forgets its scripts, loses its last second, is full, or far away."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

import saros
from saros.errors import UNAVAILABLE


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def test_restarts_under_load(
    own_server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = own_server.url(lease="1s", attempts=100)

    async def main() -> None:
        workers = [worker(url), worker(url)]
        async with client(url) as app:
            orders = [await app.start("app:steps", 20, id=f"s{n}") for n in range(25)]
            for each in workers:  # one that finds no server when it opens ends, as it should
                each.ready()
            for number in range(2):
                await asyncio.sleep(0.4)
                if number:  # also while the others recover what this one had
                    workers[0].end()
                    await asyncio.sleep(1.2)
                own_server.kill()
                await asyncio.sleep(0.3)
                await asyncio.to_thread(own_server.start)
            assert [await each.result(30) for each in orders] == [squares(20)] * 25
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_the_server_forgets_its_scripts(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    url = server.url()

    async def main() -> None:
        worker(url).ready()
        async with client(url) as app:
            orders = [await app.start("app:mixed", n, id=f"m{n}") for n in range(10)]
            with server.client() as redis:
                for _ in range(10):
                    await asyncio.sleep(0.03)
                    redis.script_flush()
            assert [await each.result(20) for each in orders] == [n * n + squares(3) + 13 for n in range(10)]
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_the_server_loses_its_last_second(
    own_server: Any, worker: Callable[..., Any], client: Any, check_histories: Any
) -> None:
    """As after a power failure with appendfsync everysec: stale commits are refused, and everything goes on."""
    url = own_server.url(lease="1s", attempts=100)
    file = own_server.folder / "appendonly.aof"
    kept = own_server.folder / "kept.aof"

    async def main() -> None:
        worker(url).ready()
        async with client(url) as app:
            orders = [await app.start("app:steps", 60, id=f"s{n}") for n in range(15)]
            await asyncio.sleep(0.3)
            shutil.copy(file, kept)
            await asyncio.sleep(0.3)
            own_server.kill()
            shutil.copy(kept, file)
            await asyncio.to_thread(own_server.start)
            assert [await each.result(30) for each in orders] == [squares(60)] * 15
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_replies_that_are_lost(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any, proxied: Any
) -> None:
    url = server.url(lease="1s", attempts=1000)

    async def main() -> None:
        async with proxied(server.port) as proxy:
            through = url.replace(f":{server.port}/", f":{proxy.port}/")
            for each in (worker(through), worker(through)):
                await asyncio.to_thread(each.ready)  # one that loses its first replies does not open
            async with client(through) as app:
                proxy.loss = 0.05
                orders = [await app.start("app:steps", 10, id=f"s{n}") for n in range(20)]
                orders += [await app.start("app:counts", {"total": 0}, id="c")]
                for n in range(1, 31):
                    await orders[-1].signal("add", n)
                await orders[-1].signal("add", "end")
                assert [await each.result(30) for each in orders[:-1]] == [squares(10)] * 20
                assert await app.get("c").result(30) == sum(range(1, 31))
                proxy.loss = 0.0
                await check_histories(app, [each.id for each in orders[:-1]])
                assert proxy.lost > 5

    asyncio.run(main())


def test_a_cut_network(server: Any, app_path: Any, check_histories: Any, proxied: Any) -> None:
    """While one worker cannot reach the server, another takes over; when the path is back, nothing is doubled."""
    url = server.url(lease="500ms")

    async def main() -> None:
        async with proxied(server.port) as proxy:
            through = url.replace(f":{server.port}/", f":{proxy.port}/")
            async with saros.open(app_path, backend=through) as far:
                orders = [await far.start("app:steps", 60, id=f"s{n}") for n in range(5)]
                await asyncio.sleep(0.2)
                proxy.cut_all()
                async with saros.open(app_path, backend=url) as near:
                    await asyncio.sleep(1.5)
                    proxy.cut = False
                    results = [await near.get(each.id).result(20) for each in orders]
                    assert results == [squares(60)] * 5
                    await check_histories(near, [each.id for each in orders])

    asyncio.run(main())


def test_a_full_server(own_server: Any, app_path: Any, check_histories: Any) -> None:
    url = own_server.url(lease="1s")

    async def main() -> None:
        with own_server.client() as redis:
            async with saros.open(app_path, backend=url) as app:
                nap = await app.start("app:nap", "400ms", id="nap")
                await asyncio.sleep(0.1)
                redis.config_set("maxmemory", 1)
                with pytest.raises(saros.Error) as refused:
                    await app.start("app:steps", 3, id="refused")
                assert refused.value.kind == UNAVAILABLE
                assert "out of memory" in refused.value.message
                await asyncio.sleep(0.6)
                redis.config_set("maxmemory", 0)
                assert await nap.result(15) == "slept"
                await check_histories(app, ["nap"])

    asyncio.run(main())


def test_a_server_that_is_away_for_a_while(own_server: Any, app_path: Any) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=own_server.url(lease="1s")) as app:
            assert await app.start("app:steps", 1) is not None
            own_server.kill()
            with pytest.raises(saros.Error) as refused:
                await app.start("app:steps", 1)
            assert refused.value.kind == UNAVAILABLE
            assert f"localhost:{own_server.port}" in refused.value.message
            await asyncio.sleep(2.0)
            await asyncio.to_thread(own_server.start)
            begun = time.monotonic()
            order = await app.start("app:steps", 3)
            assert await order.result(10) == squares(3)
            assert time.monotonic() - begun < 5

    asyncio.run(main())
