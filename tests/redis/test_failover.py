"""Masters that fail over to replicas while workflows run: with Sentinel, and in a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import saros
from saros.model.errors import UNAVAILABLE
from saros_testing import lua_app

STEPS = """
    local sum = 0
    for i = 1, input do
      sum = sum + funcs.call("app:square", i)
      time.sleep("10ms")
    end
    return sum
"""
SQUARES = sum(i * i for i in range(1, 31))
COLLECT = """
    local numbers, inbox = {}, process.listen("number")
    while true do
      local number = inbox:receive()
      if number == 0 then return numbers end
      numbers[#numbers + 1] = number
    end
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    workflows = {"steps": STEPS, "collect": COLLECT}
    return lua_app(tmp_path / "app", workflows=workflows, functions={"square": "return input * input"})


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class Watched:
    """A master, a replica, and a Sentinel that watches them."""

    def __init__(self, folder: Path, make: Callable[..., Any]) -> None:
        quick = ("--repl-diskless-sync-delay", "0")
        self.first = make(*quick)
        self.second = make(*quick, "--replicaof", "127.0.0.1", str(self.first.port))
        self.port = int(type(self.first)(folder).port)
        config = folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            f"dir {folder}",
            f"sentinel monitor orders 127.0.0.1 {self.first.port} 1",
            "sentinel down-after-milliseconds orders 1000",
            "sentinel failover-timeout orders 3000",
        ]
        config.write_text("\n".join(lines) + "\n")
        with (folder / "sentinel.log").open("wb") as log:
            command = [self.first.binary, str(config), "--sentinel"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.client = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))

    def url(self, **options: object) -> str:
        url: str = self.first.url(sentinel="orders", lease="1s", **options)
        return url.replace(f":{self.first.port}/", f":{self.port}/")

    def has_replica(self) -> bool:
        with contextlib.suppress(redis.ConnectionError):
            replicas = self.client.sentinel_slaves("orders")
            return [each["flags"] for each in replicas] == ["slave"]
        return False

    def master(self) -> int:
        return int(self.client.sentinel_get_master_addr_by_name("orders")[1])

    def close(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()


@pytest.fixture
def watched(tmp_path: Path, new_server: Any) -> Iterator[Watched]:
    made = Watched(tmp_path, new_server)
    deadline = time.monotonic() + 20
    try:
        while not (made.first.is_replicated() and made.has_replica()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield made
    finally:
        made.close()


class Load:
    """Starts workflows and sends messages all the time, and keeps what was acknowledged."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.started: list[Any] = []
        self.sent: list[int] = []
        self.refused = 0
        self.last = time.monotonic()  # of what was acknowledged
        self.pause = 0.0  # the longest between two acknowledgements

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.collector = await self._app.start("app:collect", id="collector")
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                self.started.append(await self._app.start("app:steps", 30, id=f"s{number}"))
                await self.collector.signal("number", number)
                self.sent.append(number)
            except saros.Error as error:
                if error.kind != UNAVAILABLE:
                    raise
                self.refused += 1
                continue
            now = time.monotonic()
            self.pause, self.last = max(self.pause, now - self.last), now
            await asyncio.sleep(0.05)

    async def check(self) -> None:
        """Everything that was acknowledged is there, and ends as if nothing had happened."""
        assert [await each.result(90) for each in self.started] == [SQUARES] * len(self.started)
        await self.collector.signal("number", 0)
        assert set(self.sent) <= set(await self.collector.result(90))


@pytest.mark.parametrize("crash", [False, True], ids=["asked", "crashed"])
def test_what_a_replica_confirmed_survives_a_failover(crash: bool, app: Path, watched: Watched) -> None:
    async def main() -> None:
        async with saros.open(app, backend=watched.url(wait=1)) as opened:
            load = Load(opened)
            async with load.running():
                await until(lambda: len(load.started) >= 10)
                old = watched.first.port
                begun = time.monotonic()
                if crash:
                    watched.first.kill()
                else:
                    watched.client.execute_command("SENTINEL", "FAILOVER", "orders")
                await until(lambda: watched.master() != old)
                promoted = time.monotonic() - begun
                if crash:  # nothing counts until there is a replica again
                    watched.first.options = ("--replicaof", "127.0.0.1", str(watched.second.port))
                    await asyncio.to_thread(watched.first.start)
                else:  # Sentinel would do it ten seconds later
                    with watched.first.client() as client:
                        client.replicaof("127.0.0.1", watched.second.port)
                before = len(load.sent)
                await until(lambda: len(load.sent) >= before + 10)
            await load.check()
            print(f"promoted {promoted:.1f} s, pause {load.pause:.1f} s")

    asyncio.run(main())


def test_clients_leave_a_master_that_was_replaced(app: Path, watched: Watched) -> None:
    """Sentinel demotes it only ten seconds later; what it took until then would be lost."""

    async def main() -> None:
        url = watched.url()
        tag = "{" + url.partition("prefix=")[2].partition("&")[0] + ":0}"
        async with saros.open(app, backend=url) as opened:
            load = Load(opened)
            async with load.running():
                await until(lambda: len(load.started) >= 5)
                await until(watched.first.is_replicated)
                watched.client.execute_command("SENTINEL", "FAILOVER", "orders")
                with watched.first.client() as old, watched.second.client() as new:
                    await until(lambda: new.info("replication")["role"] == "master")
                    await until(lambda: new.exists(f"{tag}:e:{load.started[-1].id}"))
                    assert old.info("replication")["role"] == "master"
                    old.replicaof("127.0.0.1", watched.second.port)
                kept = load.started[-1]
            assert await kept.result(90) == SQUARES

    asyncio.run(main())


def test_a_failover_that_loses_the_last_moments(app: Path, watched: Watched) -> None:
    """Workflows go back to what the replica had, and carry on from there."""

    async def main() -> None:
        async with saros.open(app, backend=watched.url()) as opened:
            orders = [await opened.start("app:steps", 30, id=f"s{number}") for number in range(10)]
            await until(watched.first.is_replicated)
            lagging = watched.second
            lagging.pause()
            with watched.first.client() as client:
                client.client_kill_filter(_type="replica")  # what is under way would still be heard
            lost = [await opened.start("app:steps", 1, id=f"lost{number}") for number in range(3)]
            assert [await each.result(90) for each in lost] == [1, 1, 1]
            old = watched.first.port
            watched.first.kill()
            lagging.resume()
            await until(lambda: watched.master() != old)
            assert [await each.result(90) for each in orders] == [SQUARES] * 10
            with pytest.raises(saros.Error, match="lost1"):
                await lost[1].describe()
            again = await opened.start("app:steps", 2, id="lost1")
            assert await again.result(90) == 5

    asyncio.run(main())
