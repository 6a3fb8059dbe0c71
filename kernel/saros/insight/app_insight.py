"""What the Python API offers to people who look: the methods of `saros.App` for workers, queues and schedules."""

from __future__ import annotations

from ..interfaces.backend import Backend
from ..interfaces.insight import Page, Queue, Schedule, Worker


class AppInsight:
    """Methods of `saros.App`. What they give is data as in `saros.interfaces.insight`: times in nanoseconds."""

    backend: Backend

    async def page(self, query: str = "", *, limit: int = 100, cursor: str = "") -> Page:
        """Runs that a query selects, newest first, a part of them at a time.

        :param query: empty for all.
        :param limit: how many at most.
        :param cursor: `Page.cursor` of the page before; empty for the first.
        :raises Error: INVALID for a bad query or cursor.
        """
        return await self.backend.page(query, limit, cursor)

    async def counts(self, query: str = "") -> dict[str, int]:
        """How many runs a query selects, by their status.

        :raises Error: INVALID for a bad query.
        """
        return await self.backend.counts(query)

    async def workers(self) -> list[Worker]:
        """The processes that serve task queues."""
        return await self.backend.workers()

    async def queues(self) -> list[Queue]:
        """Task queues: how many tasks wait, since when, and how many workers poll."""
        return await self.backend.queues()

    async def schedules(self) -> list[Schedule]:
        """Schedules: their last runs and next times, and whether they are paused."""
        return await self.backend.schedules()

    async def pause(self, schedule: str, reason: str = "") -> None:
        """Have a schedule start nothing until `resume`.

        :param schedule: entry id.
        :raises Error: NOT_FOUND.
        """
        await self.backend.pause(schedule, reason)

    async def resume(self, schedule: str) -> None:
        """Have a paused schedule go on with its next time.

        :param schedule: entry id.
        :raises Error: NOT_FOUND.
        """
        await self.backend.resume(schedule)

    async def trigger(self, schedule: str) -> str:
        """Have a schedule start its workflow now, and give the workflow's id.

        :param schedule: entry id.
        :raises Error: NOT_FOUND.
        """
        return await self.backend.trigger(schedule)
