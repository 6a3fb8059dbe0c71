"""What each worker process does for all: deadlines, lost leases, retention."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

import anyio

from saros.model.errors import Error

from . import codec
from .core import BATCH, Core
from .names import Names
from .timers import Timers

log = logging.getLogger("saros.redis")

ORPHAN_S = 1.2
"""Longer than a reply is under way (see scripts/orphans.lua)."""
AGAIN_S = 0.1
"""The next look when something was found: a lost worker leaves more than there is room for at once."""
PAUSE_S = 0.2
PAUSE_MAX_S = 5.0
TRIM_S = 30.0
TRIM_LIMIT = 50


class Housekeeping:
    def __init__(self, core: Core, timers: Timers, names: Names) -> None:
        self._core = core
        self._names = names
        self._timers = timers
        self._suspects: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled.

        :raises Error: UNAVAILABLE; the caller tries again.
        """
        async with anyio.create_task_group() as group:
            for loop in (self._timers.run, self._reclaim_loop, self._trim_loop):
                group.start_soon(self._keep, loop)

    async def _keep(self, loop: Callable[[], Awaitable[None]]) -> None:
        pause = PAUSE_S
        while True:
            began = time.monotonic()
            try:
                await loop()
            except Exception as exc:  # whatever lies in the store, deadlines fire and leases are kept
                if time.monotonic() - began > PAUSE_MAX_S:  # it went well for a while
                    pause = PAUSE_S
                if isinstance(exc, Error):
                    log.warning("%s; trying again in %.1f s", exc, pause)
                else:
                    log.exception("what Redis gave could not be taken; trying again in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)

    # --- leases of lost workers -------------------------------------------------------------

    async def _reclaim_loop(self) -> None:
        core = self._core
        found = 0
        while True:
            pause = AGAIN_S if found else min(core.options.lease / 4, 1.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await core.client.lost.wait()
            if core.client.lost.is_set():
                core.client.lost.clear()  # what is lost from now on is younger, and for the next time
                await asyncio.sleep(ORPHAN_S)
                await self._orphans()
            found = 0
            for partition in range(core.keys.partitions):
                found += await self._reclaim(partition)
                for note in await core.run("notes", partition, []):
                    log.warning("Redis at %s: %s", core.options.url, codec.text(note))

    async def _reclaim(self, partition: int) -> int:
        """Take over what has room here; gives how much."""
        core = self._core
        activities = {queues: buffer.room() for queues, buffer in core.activities.items()}
        serving = any(buffer.serving for buffer in core.activities.values())
        if not (core.tasks.serving or serving or core.out.serving):
            return 0
        self._suspects = {proof for proof in self._suspects if core.held.get(proof) is not None}
        wanted = core.asking(core.tasks.room(), activities, core.out.room() or BATCH)
        before = set(core.held.snapshot())
        # Time in which the server was away is not one in which workers were silent.
        lease = int((core.options.lease + core.client.forgiven(core.options.lease / 2)) * 1000)
        got, suspects, requeued = await core.run(
            "reclaim", partition, [wanted, lease, bool(self._suspects), core.queues]
        )
        count = await core.absorb(partition, got) + int(requeued)
        if count:
            log.warning("took over %d tasks of lost workers", count)
        if int(suspects):
            self._suspects = set(core.held.snapshot()) - before
        return count

    async def _orphans(self) -> None:
        """Hand over leases whose replies were lost: the server thinks that we hold them."""
        core = self._core
        held: dict[tuple[int, str], list[str]] = {}
        for place in core.held.snapshot().values():
            held.setdefault((place.partition, place.stream), []).append(place.entry)
        for partition in range(core.keys.partitions):
            streams = [(*each, held.get((partition, each[2]), [])) for each in core.streams(partition)]
            await core.run("orphans", partition, [core.consumer, streams])

    # --- retention --------------------------------------------------------------------------

    async def _trim_loop(self) -> None:
        core = self._core
        while True:
            for partition in range(core.keys.partitions):
                await self._trim(partition, int(core.options.retention * 1e6))
                streams = [stream for _kind, _queue, stream in core.streams(partition)]
                await core.run("tidy", partition, [streams, int(core.options.lease * 20_000)])
            await self._names.sweep()
            await asyncio.sleep(min(TRIM_S, max(1.0, core.options.retention / 4)))

    async def _trim(self, partition: int, retention: int) -> None:
        while int(await self._core.run("trim", partition, [retention, TRIM_LIMIT])) == TRIM_LIMIT:
            pass  # each script is short, and others come in between
