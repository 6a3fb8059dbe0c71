"""The pages of workers and queues, of schedules, and of the app's entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from .desk import Desk


async def workers(console: Desk, request: Request) -> Response:
    app = console.app
    return console.render(request, "workers.html", workers=await app.workers(), queues=await app.queues())


async def schedules(console: Desk, request: Request) -> Response:
    return console.render(request, "schedules.html", schedules=await console.app.schedules())


async def entries(console: Desk, request: Request) -> Response:
    registry = console.app.registry
    workflows = {entry.id for entry in registry.of_role("workflow")}
    return console.render(
        request, "entries.html", entries=list(registry.entries.values()), workflows=workflows
    )
