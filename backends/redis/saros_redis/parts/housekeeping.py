"""Work that each worker process does for the whole installation: deadlines, lost leases, retention."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from saros.model.background import side_by_side
from saros.model.errors import Error

from ..leases.reclaim import Reclaim
from ..options import Options
from ..server.partitions import Partitions
from .deadlines import Deadlines
from .name_registry import NameRegistry

log = logging.getLogger("saros.redis")

PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0
TRIM_S: Final = 30.0
TRIM_LIMIT: Final = 50
"""Closed runs that one script deletes."""


class Housekeeping:
    """Runs the loops of a worker process.

    :param streams: names those of a partition that this process reads.
    """

    def __init__(
        self,
        options: Options,
        partitions: Partitions,
        streams: Callable[[int], Iterable[str]],
        deadlines: Deadlines,
        reclaim: Reclaim,
        names: NameRegistry,
    ) -> None:
        self._options = options
        self._partitions = partitions
        self._streams = streams
        self._deadlines = deadlines
        self._reclaim = reclaim
        self._names = names

    async def run(self) -> None:
        """Work until cancelled.

        :raises Error: UNAVAILABLE; the caller tries again.
        """
        loops = (self._deadlines.run, self._reclaim.run, self._trim_loop)
        await side_by_side(partial(self._keep, loop) for loop in loops)

    async def _keep(self, loop: Callable[[], Awaitable[None]]) -> None:
        pause = PAUSE_S
        while True:
            began = time.monotonic()
            try:
                await loop()
            except Exception as exc:  # bad data in the store must not stop deadlines and leases
                if time.monotonic() - began > PAUSE_MAX_S:  # it worked for a while
                    pause = PAUSE_S
                if isinstance(exc, Error):
                    log.warning("%s; trying again in %.1f s", exc, pause)
                else:
                    log.exception("a reply of Redis could not be processed; trying again in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)

    # --- retention --------------------------------------------------------------------------

    async def _trim_loop(self) -> None:
        retention, lease = self._options.retention, self._options.lease
        while True:
            for partition in range(self._partitions.keys.partitions):
                await self._trim(partition, int(retention * 1e6))
                args = [list(self._streams(partition)), int(lease * 20_000)]
                await self._partitions.run("prune_consumers", partition, args)
            await self._names.sweep()
            await asyncio.sleep(min(TRIM_S, max(1.0, retention / 4)))

    async def _trim(self, partition: int, retention: int) -> None:
        while int(await self._partitions.run("trim", partition, [retention, TRIM_LIMIT])) == TRIM_LIMIT:
            pass  # each script is short, and others come in between
