"""`saros run --wait TIME` ends about that time after it began, however the server fails to answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import saros
from saros.app.opening import open_app
from saros_cli.waiting import Wait
from saros_testing import eventually, lua_app

URLS = [
    "redis://127.0.0.1:{}",
    "rediss://127.0.0.1:{}",
    "redis://127.0.0.1:{}?sentinel=main",
    "redis://127.0.0.1:{}?cluster=true",
    "temporal://127.0.0.1:{}",
    "postgresql://saros@127.0.0.1:{}/saros",
]
WAIT_S = 1.5
LONGER_S = 3.0
"""What loading may add. Each backend alone waits longer than both together."""
TRIES = 3
"""A busy machine may be late once; a backend that waits on its own is always late."""


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


@contextlib.contextmanager
def full() -> Iterator[int]:
    """The port of a server that does not even accept connections, as when a firewall drops packets."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def failed(app: Path, url: str, wait: Wait) -> tuple[saros.Error, float]:
    """Return the error of a wait, and how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(saros.Error) as failure:
        async with asyncio.timeout(60), open_app(app, url, connect=wait.connect):
            pass
    return failure.value, loop.time() - began


def test_a_wait_ends_in_time(tmp_path: Path) -> None:
    app = lua_app(tmp_path / "app", workflows={"one": "return 1"})

    async def all_of(urls: list[str], wait_s: float) -> list[tuple[saros.Error, float]]:
        stop = asyncio.Event()
        return await asyncio.gather(*(failed(app, url, Wait(url, wait_s, stop)) for url in urls))

    with silent() as one, full() as other:
        urls = [url.format(port) for url in URLS for port in (one, other)]
        asyncio.run(all_of(urls, 0.1))  # imports what the backends need
        for _ in range(TRIES):
            ended = asyncio.run(all_of(urls, WAIT_S))
            late = []
            for url, (error, seconds) in zip(urls, ended, strict=True):
                assert error.kind == "Unavailable", url
                assert seconds >= WAIT_S, url
                if seconds >= WAIT_S + LONGER_S:
                    late.append((url, seconds, error))
            if not late:
                break
    assert late == []


def test_a_wait_says_what_it_waits_for_until_it_is_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = lua_app(tmp_path / "app", workflows={"one": "return 1"})
    caplog.set_level(logging.WARNING, "saros.run")

    async def main(url: str) -> None:
        stop = asyncio.Event()
        waiting = asyncio.create_task(failed(app, url, Wait(url, 600, stop)))
        line = f"{url} has not answered yet; waiting for at most "

        async def told() -> bool:
            return any(record.getMessage().startswith(line) for record in caplog.records)

        await eventually(told, "the wait is told", 60)
        stop.set()
        error, seconds = await waiting
        assert "has not answered" in error.message
        assert seconds < 60

    with silent() as port:
        asyncio.run(main(f"redis://127.0.0.1:{port}"))
