"""The pages of workers and queues, of schedules, and of the app's entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from ..desk import Desk

QUEUES_S: Final = 10.0
FRESH_S: Final = 0.4
"""How long the page waits for queues and workers that others have asked for, and how old these may be."""


async def works(console: Desk) -> dict[str, Any]:
    """Who works, and how much waits."""
    queues = await console.queues.get("", QUEUES_S, FRESH_S)
    workers = await console.workers.get("", QUEUES_S, FRESH_S)
    return {"workers": workers or [], "queues": queues or []}


async def workers(console: Desk, request: Request) -> Response:
    return console.render(request, "workers.html", **await works(console))


async def schedules(console: Desk, request: Request) -> Response:
    return console.render(request, "schedules.html", schedules=await console.app.schedules())


async def entries(console: Desk, request: Request) -> Response:
    registry = console.app.registry
    workflows = {entry.id for entry in registry.of_role("workflow")}
    return console.render(
        request, "entries.html", entries=list(registry.entries.values()), workflows=workflows
    )
