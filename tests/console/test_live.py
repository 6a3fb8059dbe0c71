"""Live pages, and the searches that they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

import saros
from saros import Error
from saros.model.background import Job, Jobs
from saros.model.errors import UNAVAILABLE
from saros_console.web import live
from saros_console.web.application import Console
from saros_console.web.parts import shared

from .clients import browser


def test_a_page_says_when_it_is_not_up_to_date(app_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is never answered does not end the updates, nor do numbers that cannot be had."""
    monkeypatch.setattr(live, "MOST_S", 0.2)

    async def main() -> None:
        async with saros.open(app_dir, "memory://") as app:
            stream = streamed(Console(app), "/live/workers")
            assert "event: message" in await anext(stream)
            real = app.workers

            async def never() -> list[Any]:
                await asyncio.Event().wait()
                return []

            monkeypatch.setattr(app, "workers", never)
            told = [await anext(stream)]
            while "event: problem" not in told[-1]:
                told.append(await anext(stream))
            assert "has not answered" in told[-1]
            monkeypatch.setattr(app, "workers", real)
            while "event: message" not in told[-1]:
                told.append(await anext(stream))
            await stream.aclose()

            async def away(query: str = "") -> dict[str, int]:
                raise Error("the server is away", UNAVAILABLE)

            monkeypatch.setattr(app.backend, "counts", away)
            async with browser(Console(app)) as client:
                assert (await client.get("/")).status_code == 200

    asyncio.run(main())


def test_a_search_that_is_never_answered_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "LIMIT_S", 0.05)
    asked = 0

    async def find(key: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return key

    async def main() -> None:
        jobs = Jobs()
        found = shared.Shared(jobs, find, "the answer", rest=0)
        with pytest.raises(Error, match="has not told the answer"):
            await found.get("a", 60)
        assert await found.get("a", 60) == "a"
        await jobs.end()

    asyncio.run(main())


async def streamed(console: Console, path: str) -> AsyncGenerator[str, None]:
    """The events of a live page; httpx reads a whole response before it gives any of it."""
    parts: asyncio.Queue[str] = asyncio.Queue()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
    }
    scope |= {"headers": [(b"host", b"127.0.0.1")], "asgi": {"version": "3.0", "spec_version": "2.3"}}

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body"):
            await parts.put(message["body"].decode())

    async def serve() -> None:
        await console.asgi(scope, receive, send)

    job = Job(serve(), "a live page")
    try:
        while True:
            async with asyncio.timeout(60):
                part = await parts.get()
            if "event:" in part:
                yield part
    finally:
        await job.end()
