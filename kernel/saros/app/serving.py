"""Runs an app's supervised processes and schedules beside its workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ..interfaces.backend import Backend
from ..processes import ProcessHost
from .schedules import Scheduler
from .supervision import Supervisor

__all__ = ["Scheduler", "Supervisor", "served"]


@asynccontextmanager
async def served(host: ProcessHost, backend: Backend) -> AsyncIterator[None]:
    """Run the app's ``process.service`` and ``schedule`` entries that start automatically."""
    registry = host.deployment.registry
    async with AsyncExitStack() as stack:
        if registry.of_kind("process.service"):
            supervisor = Supervisor(host)
            stack.push_async_callback(supervisor.stop)
            supervisor.start()
        if registry.of_kind("schedule") and not backend.keeps_schedules:
            scheduler = Scheduler(host.deployment, backend)
            stack.push_async_callback(scheduler.stop)
            scheduler.start()
        yield
