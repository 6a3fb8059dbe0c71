"""Live updates, as server-sent events: a page's live part anew, whenever it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from saros.model.errors import Error

from .pages import bulk as many
from .pages import list_page, overview, run_page

if TYPE_CHECKING:
    from .desk import Desk

LOOK_S: Final = 0.8
"""Between two looks at the backend, while somebody has the page open."""
ANEW: Final = 12
"""After so many looks without a change the page is made anew: it tells spans of time."""


LOOK_SLOWLY_S: Final = 4.0
"""The same, for pages that ask for what is pending of many runs."""


def _stream(
    console: Desk,
    sign: Callable[[], Awaitable[bytes]],
    make: Callable[[], Awaitable[str]],
    look_s: float = LOOK_S,
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
            await asyncio.sleep(look_s)

    return StreamingResponse(events(), media_type="text/event-stream")


async def executions(console: Desk, request: Request) -> Response:
    view = list_page.View(request)

    async def sign() -> bytes:
        found = await list_page.contents(console, view)
        return msgspec.json.encode((found["page"], found["tabs"]))

    async def make() -> str:
        return console.fragment("runs_live.html", **await list_page.contents(console, view))

    return _stream(console, sign, make, LOOK_SLOWLY_S if view.special else LOOK_S)


async def execution(console: Desk, request: Request) -> Response:
    async def make() -> str:
        return console.fragment("run_live.html", **await run_page.contents(console, request))

    return _stream(console, lambda: run_page.signature(console, request), make)


async def workers(console: Desk, request: Request) -> Response:
    async def sign() -> bytes:
        return msgspec.json.encode(await overview.works(console))

    async def make() -> str:
        return console.fragment("workers_live.html", **await overview.works(console))

    return _stream(console, sign, make)


async def schedules(console: Desk, request: Request) -> Response:
    async def sign() -> bytes:
        return msgspec.json.encode(await console.app.schedules())

    async def make() -> str:
        return console.fragment("schedules_live.html", schedules=await console.app.schedules())

    return _stream(console, sign, make)


async def bulk(console: Desk, request: Request) -> Response:
    found = many.progress_of(console, request)

    async def sign() -> bytes:
        return msgspec.json.encode((len(found["go"].results), found["go"].done))

    async def make() -> str:
        return console.fragment("progress_live.html", **found)

    return _stream(console, sign, make)
