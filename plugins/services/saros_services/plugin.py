"""Supervised processes and schedules, which run beside the workers of an app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from saros import hookimpl
from saros.app.hookspecs import ServicePlugin

if TYPE_CHECKING:
    from saros import App
    from saros.entries import Kind


@hookimpl
def saros_kinds() -> list[Kind]:
    from .kinds import PROCESS_SERVICE, SCHEDULE

    return [PROCESS_SERVICE, SCHEDULE]


@hookimpl(tryfirst=True)  # other services start after these, and stop before them
def saros_services() -> list[ServicePlugin]:
    return [ServicePlugin("processes", _supervised), ServicePlugin("schedules", _scheduled)]


def _supervised(app: App) -> AbstractAsyncContextManager[None] | None:
    return _supervising(app) if app.registry.of_kind("process.service") else None


def _scheduled(app: App) -> AbstractAsyncContextManager[None] | None:
    wanted = app.registry.of_kind("schedule") and not app.backend.keeps_schedules
    return _scheduling(app) if wanted else None


@asynccontextmanager
async def _supervising(app: App) -> AsyncIterator[None]:
    from .supervision import Supervisor

    async with AsyncExitStack() as stack:
        supervisor = Supervisor(app.host)
        stack.push_async_callback(supervisor.stop)
        supervisor.start()
        yield


@asynccontextmanager
async def _scheduling(app: App) -> AsyncIterator[None]:
    from .schedules import Scheduler

    async with AsyncExitStack() as stack:
        scheduler = Scheduler(app.deployment, app.backend)
        stack.push_async_callback(scheduler.stop)
        scheduler.start()
        yield
