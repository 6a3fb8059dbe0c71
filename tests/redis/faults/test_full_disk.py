"""A server whose append-only file has no more room: the kernel refuses its writes, and later takes them again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import UNAVAILABLE
from saros_testing import eventually

ROOM = 8_000
"""Bytes, for what comes after the disk is said to be full."""


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


@pytest.fixture(params=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, server_class: Any, valkey_class: Any
) -> Iterator[Any]:
    folder = tmp_path / "server"
    folder.mkdir()
    started = (server_class if request.param == "redis" else valkey_class)(folder)
    started.start()
    yield started
    started.kill()


def fill(server: Any) -> None:
    """Limit the file so that a few more events fit and a later one is cut in the middle."""
    size = max(file.stat().st_size for file in server.folder.rglob("*.aof"))
    server.limit_files(size + ROOM)


def can_write(server: Any) -> bool:
    with server.client() as redis:
        return bool(redis.info("persistence")["aof_last_write_status"] == "ok")


async def start_until_refused(app: Any) -> tuple[list[Any], saros.Error]:
    """Return the starts that were acknowledged, and the error of the first that was refused."""
    taken = []
    while True:
        try:
            taken.append(await app.start("app:steps", 3, id=f"order-{len(taken)}"))
        except saros.Error as error:
            return taken, error


def test_a_full_disk_refuses_and_then_goes_on(
    server: Any,
    worker: Callable[..., Any],
    client: Any,
    app_path: Path,
    trace: Callable[[], Any],
    check_histories: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing acknowledged is lost, workers keep their activities, and the log has one line for each problem."""
    url = server.url(lease="4s")

    async def main() -> None:
        await asyncio.to_thread(worker(url).ready)
        async with saros.open(app_path, backend=url) as app:
            slow = [await app.start("app:slow", {"n": n, "seconds": 9}, id=f"slow-{n}") for n in range(4)]
            await eventually(lambda: len(trace()) == 4, "all run")
            fill(server)
            taken, error = await start_until_refused(app)
            assert taken
            assert error.kind == UNAVAILABLE
            assert "cannot save its data to disk" in error.message
            assert "disk" in (error.hint or "")
            assert not can_write(server)
            await asyncio.sleep(5)  # leases would have ended long ago
            server.limit_files(None)
            await eventually(lambda: can_write(server), "it writes again")
            assert [await each.result(90) for each in taken] == [squares(3)] * len(taken)
            assert [await each.result(90) for each in slow] == list(range(4))
            assert await (await app.start("app:steps", 2)).result(90) == squares(2)
            await check_histories(app, [each.id for each in (*slow, *taken)])
            assert sorted(n for _, n in trace()) == list(range(4))  # each ran once
        server.kill()
        await asyncio.to_thread(server.start)
        async with client(url) as app:
            assert [await app.get(each.id).result(90) for each in taken] == [squares(3)] * len(taken)
        assert "cannot save its data to disk" in caplog.text
        assert "Traceback" not in caplog.text

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())


def test_a_server_that_ends_when_its_disk_is_full(
    server: Any,
    app_path: Path,
    check_histories: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With `appendfsync always`, the server exits rather than acknowledge a write that failed."""
    server.kill()
    server.options = ("--appendfsync", "always")
    server.start()
    url = server.url(lease="1s")

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            nap = await app.start("app:nap", "3s", id="nap")
            fill(server)
            taken, error = await start_until_refused(app)
            assert taken
            assert error.kind == UNAVAILABLE
            assert "cannot reach Redis" in error.message
            code = await asyncio.to_thread(server.process.wait, 30)
            assert code == 1  # the server exited by itself
            server.kill(signal.SIGKILL)
            await asyncio.to_thread(server.start)
            assert [await each.result(90) for each in taken] == [squares(3)] * len(taken)
            assert await nap.result(90) == "slept"
            await check_histories(app, [each.id for each in (nap, *taken)])
        assert "Traceback" not in caplog.text

    with caplog.at_level(logging.WARNING, "saros"):
        asyncio.run(main())
