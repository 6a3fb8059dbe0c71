"""Live updates, as server-sent events: a page's live part anew, whenever it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from saros.model.errors import Error

from . import run_page, runs

if TYPE_CHECKING:
    from .desk import Desk

LOOK_S: Final = 0.8
"""Between two looks at the backend, while somebody has the page open."""
ANEW: Final = 12
"""After so many looks without a change the page is made anew: it tells spans of time."""


def _stream(
    console: Desk, sign: Callable[[], Awaitable[bytes]], make: Callable[[], Awaitable[str]]
) -> Response:
    async def events() -> AsyncIterator[str]:
        last, looks = b"", 0
        yield "retry: 2000\n\n"
        while not console.ending():
            try:
                signed = await sign()
                if signed != last or looks >= ANEW:
                    html = await make()
                    yield "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
                    last, looks = signed, 0
            except Error as error:
                yield f"event: problem\ndata: {' '.join(str(error).split())}\n\n"
            looks += 1
            await asyncio.sleep(LOOK_S)

    return StreamingResponse(events(), media_type="text/event-stream")


async def executions(console: Desk, request: Request) -> Response:
    view = runs.View(request)

    async def sign() -> bytes:
        found = await runs.contents(console, view)
        return msgspec.json.encode((found["page"], found["tabs"]))

    async def make() -> str:
        return console.fragment("runs_live.html", **await runs.contents(console, view))

    return _stream(console, sign, make)


async def execution(console: Desk, request: Request) -> Response:
    async def make() -> str:
        return console.fragment("run_live.html", **await run_page.contents(console, request))

    return _stream(console, lambda: run_page.signature(console, request), make)
