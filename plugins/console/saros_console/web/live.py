"""Live updates as server-sent events: the live part of a page is sent again whenever it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from saros.model.errors import Error
from saros.model.text import one_line

from .pages import bulk as many
from .pages import list_page, overview, run_page

if TYPE_CHECKING:
    from .desk import Desk

LOOK_S: Final = 0.8
"""Seconds between two looks at the backend while a page is open."""
ANEW: Final = 12
"""After this many looks without a change the page is made again, because it shows ages."""
LOOK_SLOWLY_S: Final = 4.0
"""The same as `LOOK_S`, for pages that ask for the pending work of many runs."""
MOST_S: Final = 20.0
"""Seconds that a look may take. After that the page says so and looks again, for a request may be lost for good."""
KEPT_PAGES: Final = 20
BEAT_S: Final = 4.0
"""A page receives something at least this often, in seconds, or it connects again (see console.js)."""


Seen = tuple[bytes, Callable[[], Awaitable[str]]]
"""The result of a look at the backend: a signature that changes with the page, and a function that renders it."""
Look = Callable[[], Awaitable[Seen]]


def _event(name: str, data: str) -> str:
    return f"event: {name}\n" + "".join(f"data: {line}\n" for line in data.splitlines() or [""]) + "\n"


def _stream(console: Desk, request: Request, look: Look, look_s: float = LOOK_S) -> Response:
    key = str(request.url.path), request.url.query

    async def made(signed: bytes, make: Callable[[], Awaitable[str]]) -> str:
        """Return the live part of a page, which all who look at it share."""
        kept = console.made.get(key)
        if kept is None or kept[0] != signed or time.monotonic() - kept[1] > look_s:
            kept = console.made[key] = signed, time.monotonic(), await make()
            while len(console.made) > KEPT_PAGES:
                del console.made[next(iter(console.made))]
        return kept[2]

    async def events() -> AsyncIterator[str]:
        last, looks, quiet = b"", 0, time.monotonic()
        yield "retry: 2000\n\n"
        while not console.ending():
            said = ""
            try:
                with anyio.fail_after(MOST_S):
                    signed, make = await look()
                    if signed != last or looks >= ANEW:
                        said = _event("message", await made(signed, make))
                        last, looks = signed, 0
            except TimeoutError:
                said, last = _event("problem", f"the backend has not answered for {MOST_S:g} s"), b""
            except Error as error:
                said, last = _event("problem", one_line(str(error))), b""
            if not said and time.monotonic() - quiet >= BEAT_S:
                said = _event("beat", ".")
            if said:
                yield said
                quiet = time.monotonic()
            looks += 1
            await asyncio.sleep(look_s)

    return StreamingResponse(events(), media_type="text/event-stream")


def _seen(console: Desk, template: str, signed: object, **values: Any) -> Seen:
    """Return the result of a look that has already read what the page shows."""

    async def make() -> str:
        return console.fragment(template, **values)

    return msgspec.json.encode(signed), make


async def executions(console: Desk, request: Request) -> Response:
    view = list_page.View(request)

    async def look() -> Seen:
        found = await list_page.contents(console, view, live=True)
        return _seen(console, "runs_live.html", (found["page"], found["tabs"]), **found)

    return _stream(console, request, look, LOOK_SLOWLY_S if view.special else LOOK_S)


async def execution(console: Desk, request: Request) -> Response:
    async def make() -> str:
        return console.fragment("run_live.html", **await run_page.contents(console, request))

    async def look() -> Seen:
        return await run_page.signature(console, request), make

    return _stream(console, request, look)


async def workers(console: Desk, request: Request) -> Response:
    async def look() -> Seen:
        found = await overview.works(console)
        return _seen(console, "workers_live.html", found, **found)

    return _stream(console, request, look)


async def schedules(console: Desk, request: Request) -> Response:
    async def look() -> Seen:
        found = await console.app.schedules()
        return _seen(console, "schedules_live.html", found, schedules=found)

    return _stream(console, request, look)


async def bulk(console: Desk, request: Request) -> Response:
    found = many.progress_of(console, request)

    async def look() -> Seen:
        return _seen(console, "progress_live.html", (len(found["go"].results), found["go"].done), **found)

    return _stream(console, request, look)
