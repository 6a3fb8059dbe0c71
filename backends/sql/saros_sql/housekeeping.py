"""Work that each worker process does for the whole database: deadlines, lost sessions, retention."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Final

from saros.model.background import kept_running, side_by_side
from saros.model.timing import SECOND

from .link import Link
from .options import Options
from .parts import deadlines, retention, sessions

log = logging.getLogger("saros.sql")

LOOK_S: Final = 30.0
"""The longest pause between two checks for deadlines: the machine may have slept in between."""
NEAR_S: Final = 0.5
ABSENT: Final = -1
ABSENT_S: Final = 5.0
"""Seconds that a process may take to connect again after its connection is lost, as when the server restarts."""
TRIM_S: Final = 30.0


class Housekeeping:
    """Runs the loops of a worker process."""

    def __init__(self, options: Options, link: Link) -> None:
        self._options = options
        self._link = link

    async def run(self) -> None:
        """Work until cancelled.

        :raises Error: if it is not retryable.
        """
        loops = (self._fire_loop, self._sessions_loop, self._trim_loop)
        await side_by_side(partial(kept_running, loop, log) for loop in loops)

    async def _fire_loop(self) -> None:
        link = self._link
        while True:
            link.waiting.take_alarm()
            fired = await link.write(deadlines.fire, light=True)
            if fired.number == deadlines.MOST:
                continue
            following = fired.following
            wait = LOOK_S
            if following is not None:
                wait = max(0.0, min((following - link.clock.now()) / SECOND, LOOK_S))
            await link.waiting.alarm(wait, following)

    async def _sessions_loop(self) -> None:
        """End the sessions of processes that have died or have been silent for too long.

        After this process, or the whole machine, was suspended, the other sessions first get time to renew.
        """
        link = self._link
        grace = self._options.lease / SECOND / 3
        since: dict[tuple[str, int], float] = {}  # session and end of its lease -> when this loop noticed it
        while True:
            link.look()
            over, foreign, absent = await link.read(lambda tx: sessions.silent(tx, link.dialect.boot))
            now = time.monotonic()
            silent = {**dict.fromkeys(absent, ABSENT), **over}
            since = {each: since.get(each, now) for each in silent.items()}
            gone = [
                owner
                for (owner, until), seen in since.items()
                if now - seen >= (min(grace, ABSENT_S) if until == ABSENT else grace)
            ]
            await self._end({*gone, *foreign, *link.wakers.dead})
            await asyncio.sleep(link.dialect.look_s)

    async def _end(self, owners: set[str]) -> None:
        if not owners:
            return
        attempts = self._options.attempts
        count = await self._link.write(lambda tx: sessions.end(tx, sorted(owners), attempts))
        for owner in owners:
            self._link.wakers.forget(owner)
        if count:
            log.warning("took over %d leases of lost workers", count)

    async def _trim_loop(self) -> None:
        kept = self._options.retention
        while True:
            while await self._link.write(lambda tx: retention.trim(tx, kept)) == retention.MOST:
                pass  # each transaction is short, and others come in between
            await self._link.write(retention.trim_keys)
            await asyncio.sleep(min(TRIM_S, max(1.0, kept / SECOND / 4)))
