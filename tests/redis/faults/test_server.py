"""A server that restarts, forgets its scripts, loses its last second, is full, or cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import pytest

import saros
from saros.model.errors import UNAVAILABLE
from saros_testing import eventually


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


def test_s1_restarts_under_load(
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
            assert [await each.result(90) for each in orders] == [squares(20)] * 25
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
            assert [await each.result(90) for each in orders] == [n * n + squares(3) + 13 for n in range(10)]
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_s19_the_server_loses_its_last_second(
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
            assert [await each.result(90) for each in orders] == [squares(60)] * 15
            await check_histories(app, [each.id for each in orders])

    asyncio.run(main())


def test_s18_replies_that_are_lost(
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
                assert [await each.result(90) for each in orders[:-1]] == [squares(10)] * 20
                assert await app.get("c").result(90) == sum(range(1, 31))
                proxy.loss = 0.0
                await check_histories(app, [each.id for each in orders[:-1]])
                assert proxy.lost > 5

    asyncio.run(main())


def test_s17_a_cut_network(server: Any, app_path: Any, check_histories: Any, proxied: Any) -> None:
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
                    results = [await near.get(each.id).result(90) for each in orders]
                    assert results == [squares(60)] * 5
                    await check_histories(near, [each.id for each in orders])

    asyncio.run(main())


def test_s21_a_full_server(own_server: Any, app_path: Any, check_histories: Any) -> None:
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
                assert await nap.result(90) == "slept"
                await check_histories(app, ["nap"])

    asyncio.run(main())


AWAY_S = float(os.environ.get("SAROS_TEST_AWAY_S", "8"))


def test_s20_a_server_that_is_away_while_workers_wait(
    own_server: Any, worker: Callable[..., Any], client: Any
) -> None:
    """A worker in its blocking reads outlives the outage, and takes the first task at once when it is over."""
    url = own_server.url(lease="1s")

    async def main() -> None:
        serving = worker(url).ready()
        async with client(url) as app:
            assert await (await app.start("app:steps", 1)).result(90) == 1
            own_server.kill()
            with pytest.raises(saros.Error) as refused:
                await app.start("app:steps", 1)
            assert refused.value.kind == UNAVAILABLE
            assert f"localhost:{own_server.port}" in refused.value.message
            await asyncio.sleep(AWAY_S - 3)
            await asyncio.to_thread(own_server.start)
            begun = time.monotonic()
            order = await app.start("app:steps", 3)
            assert await order.result(90) == squares(3)
            waited = time.monotonic() - begun
            print(f"first task after an outage: {waited:.2f} s")
            assert waited < 2
            assert serving.process.poll() is None

    asyncio.run(main())


def test_an_outage_longer_than_the_lease_takes_no_call_from_its_worker(
    own_server: Any, worker: Callable[..., Any], client: Any, trace: Callable[[], Any], check_histories: Any
) -> None:
    """No lease could be renewed during the outage; the workers still keep the activities that they run."""
    url = own_server.url(lease="1s")

    async def main() -> None:
        for each in (worker(url), worker(url)):
            await asyncio.to_thread(each.ready)
        async with client(url) as app:
            orders = [await app.start("app:slow", {"n": n, "seconds": 3.2}, id=f"s{n}") for n in range(4)]
            await eventually(lambda: len(trace()) == 4, "all run")
            own_server.kill()
            await asyncio.sleep(1.3)
            await asyncio.to_thread(own_server.start)
            assert [await each.result(90) for each in orders] == list(range(4))
            await check_histories(app, [each.id for each in orders])
            assert sorted(n for _, n in trace()) == list(range(4))

    asyncio.run(main())


def test_s1_a_restart_while_the_tasks_of_a_lost_worker_are_taken_over(
    own_server: Any, app_path: Any, abandoned: Any, client: Any, check_histories: Any, caplog: Any
) -> None:
    url = own_server.url(lease="1s", attempts=3)

    async def main() -> None:
        async with client(url) as app:
            orders = [await app.start("app:steps", 2, id=f"s{n}") for n in range(250)]
            await abandoned(url)
            with caplog.at_level(logging.WARNING, "saros.redis"):
                async with saros.open(app_path, backend=url):
                    await eventually(lambda: "took over" in caplog.text, "recovery begins")
                    own_server.kill()
                    await asyncio.to_thread(own_server.start)
                    assert [await each.result(90) for each in orders] == [squares(2)] * 250
            await check_histories(app, [each.id for each in orders])
            assert not [each.problem async for each in app.list() if each.problem]

    asyncio.run(main())


def test_s18_replies_that_break_off(
    server: Any, worker: Callable[..., Any], client: Any, check_histories: Any, proxied: Any
) -> None:
    """Every twentieth reply ends in its middle, with its connection. Nothing is doubled, and no worker counts as
    lost: `attempts` is as low as it can be."""
    url = server.url(lease="5s", attempts=1)

    async def main() -> None:
        async with proxied(server.port) as proxy:
            through = url.replace(f":{server.port}/", f":{proxy.port}/")
            for each in (worker(through), worker(through)):
                await asyncio.to_thread(each.ready)
            async with client(through) as app:
                proxy.torn, proxy.loss = True, 0.05
                orders = [await app.start("app:steps", 6, id=f"s{n}") for n in range(20)]
                assert [await each.result(90) for each in orders] == [squares(6)] * 20
                assert proxy.lost > 5
                proxy.loss = 0.0
                await check_histories(app, [each.id for each in orders])
                found = {each.id: each.run_id async for each in app.list()}
                assert found == {each.id: each.run_id for each in orders}  # each start gave the one run

    asyncio.run(main())


def test_a_server_that_cannot_save_to_its_disk(own_server: Any, app_path: Any, caplog: Any) -> None:
    """It refuses all writes. Workers say so in one line each time, and go on when it takes them again."""
    url = own_server.url(lease="2s")
    blocked = own_server.folder / "dump.rdb"  # a folder of this name cannot be replaced

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            with own_server.client() as redis:
                naps = [await app.start("app:nap", "3s") for _ in range(5)]
                blocked.mkdir()
                redis.config_set("save", "900 1")
                redis.bgsave()
                await eventually(lambda: redis.info()["rdb_last_bgsave_status"] == "err", "it cannot save")
                with pytest.raises(saros.Error, match="cannot save its data to disk") as refused:
                    await app.start("app:nap", "1ms")
                assert refused.value.kind == UNAVAILABLE
                await asyncio.sleep(4)  # so long that loops give up and begin again
                blocked.rmdir()
                redis.bgsave()
                await eventually(lambda: redis.info()["rdb_last_bgsave_status"] == "ok", "it can save")
            assert [await each.result(90) for each in naps] == ["slept"] * 5
        assert "cannot save its data to disk" in caplog.text
        assert "Traceback" not in caplog.text

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())
