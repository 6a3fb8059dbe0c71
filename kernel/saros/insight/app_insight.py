"""The methods of `saros.App` that show workers, queues and schedules."""

from __future__ import annotations

from collections.abc import Sequence

from ..interfaces.backend import Backend
from ..interfaces.insight import Page, Queue, Schedule, Worker


class AppInsight:
    """Methods of `saros.App`. They return the data of `saros.interfaces.insight`, with times in nanoseconds."""

    backend: Backend

    async def page(self, query: str = "", *, limit: int = 100, cursor: str = "") -> Page:
        """Return one page of the runs that a query selects, newest first.

        :param query: empty for all runs.
        :param limit: the largest number of runs.
        :param cursor: `Page.cursor` of the previous page; empty for the first page.
        :raises Error: INVALID for a bad query or cursor.
        """
        return await self.backend.page(query, limit, cursor)

    async def counts(self, query: str = "") -> dict[str, int]:
        """Return the number of runs that a query selects, by status.

        :raises Error: INVALID for a bad query.
        """
        return await self.backend.counts(query)

    async def workers(self, also: Sequence[str] = ()) -> list[Worker]:
        """Return the processes that serve task queues.

        :param also: see `queues`.
        """
        return await self.backend.workers(also)

    async def queues(self, also: Sequence[str] = ()) -> list[Queue]:
        """Return the task queues: how many tasks wait, since when, and how many workers poll.

        :param also: task queues to ask about as well; Temporal tells only of those of the app, of the newest
            running executions, and of these.
        """
        return await self.backend.queues(also)

    async def schedules(self) -> list[Schedule]:
        """Return the schedules, with their last runs and next times, and whether they are paused."""
        return await self.backend.schedules()

    async def pause(self, schedule: str, reason: str = "") -> None:
        """Pause a schedule: it starts nothing until `resume`.

        :param schedule: entry id.
        :raises Error: NOT_FOUND.
        """
        await self.backend.pause(schedule, reason)

    async def resume(self, schedule: str) -> None:
        """Resume a paused schedule, which continues with its next time.

        :param schedule: entry id.
        :raises Error: NOT_FOUND.
        """
        await self.backend.resume(schedule)

    async def trigger(self, schedule: str) -> str:
        """Start the workflow of a schedule now, also of a paused one, and return the workflow's id.

        :param schedule: entry id.
        :raises Error: NOT_FOUND; CONFLICT when a run of the schedule goes on and its overlap is not ``allow_all``.
        """
        return await self.backend.trigger(schedule)
