"""The pages of workers and queues, of schedules, and of the app's entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from ..parts.shared import LIMIT_S

if TYPE_CHECKING:
    from ..desk import Desk

FRESH_S: Final = 0.4
"""Seconds that task queues for another reader may be old."""


async def works(console: Desk) -> dict[str, Any]:
    """Return the workers and the task queues."""
    queues = await console.queues.get("", LIMIT_S, FRESH_S)
    return {"workers": await console.app.workers(), "queues": queues or []}


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
