"""Deadlines: finding and firing those that are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from saros.model.clock import steady_ns
from saros.model.timing import SECOND

from ..server.partitions import Partitions
from ..server.server_clock import RedisClock

log = logging.getLogger("saros.redis")

LIMIT = 50
"""Deadlines per script, which must not block the server for long."""
_BACK, _DOUBT = 1, 2  # see scripts/timers/fire.lua
DOUBT_NS = 6 * SECOND
"""Workers that know the clock report within this time: their longest pause after an outage is shorter."""
PAUSE_S = 0.2
"""How often every worker checks for deadlines that a client or a lost worker set."""


class Alarm:
    """Knows when the next deadline that this process set is due, by `steady_ns`."""

    def __init__(self) -> None:
        self._due: int | None = None
        self._changed = asyncio.Event()

    def set(self, due: int) -> None:
        if self._due is None or due < self._due:
            self._due = due
            self._changed.set()

    def take(self) -> int | None:
        due, self._due = self._due, None
        self._changed.clear()
        return due

    async def wait(self, seconds: float) -> bool:
        """Sleep; True when an earlier deadline was set meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Deadlines:
    """Fires the deadlines of all executions.

    :param streams: names those of a partition that this process reads.
    """

    def __init__(
        self,
        partitions: Partitions,
        clock: RedisClock,
        alarm: Alarm,
        streams: Callable[[int], Iterable[str]],
    ) -> None:
        self._partitions = partitions
        self._clock = clock
        self._streams = streams
        self._alarm = alarm
        self._doubts: dict[int, int] = {}  # partition -> since when its clock may be wrong, by `steady_ns`

    async def run(self) -> None:
        """Fire the due deadlines of all executions, until cancelled."""
        following: int | None = 0  # check at once: the clock is still unknown
        while True:
            mine = self._alarm.take()
            if mine is not None and (following is None or mine < following):
                following = mine
            now = steady_ns()
            if following is not None and following > now:
                wait = min((following - now) / 1e9, PAUSE_S)
            else:
                wait = 0.0 if following is not None else PAUSE_S
            if wait and await self._alarm.wait(wait):
                continue
            following = await self._fire()

    async def _fire(self) -> int | None:
        """Fire everything that is due; return the time of the next deadline, if there is one."""
        nexts = [await self._fire_of(partition) for partition in range(self._partitions.keys.partitions)]
        return min((due for due in nexts if due is not None), default=None)

    async def _fire_of(self, partition: int) -> int | None:
        steady = self._partitions.steady[partition]
        while True:
            known, sent = steady.known(), steady_ns()
            doubts = int(partition in self._doubts)
            args = [LIMIT, doubts]
            now, fired, following, at, skew, new = await self._partitions.run("fire", partition, args)
            if int(new) == _DOUBT and sent - self._doubts.setdefault(partition, sent) < DOUBT_NS:
                return sent + int(PAUSE_S * 1e9)
            step = steady.heard(int(at), sent)
            if step or int(new) == _BACK:
                await self._shift(partition, step, skew.decode())
            elif known >= 0 and int(fired) < LIMIT:
                self._doubts.pop(partition, None)
                self._clock.heard(int(now), sent)
                return steady.here(int(float(following))) if float(following) >= 0 else None

    async def _shift(self, partition: int, step: int, skew: str) -> None:
        """Correct for a step of the server's clock, so that nothing is early or late by it."""
        if int(await self._partitions.run("shift", partition, [step, skew, list(self._streams(partition))])):
            if step:
                log.warning("the server's clock was set by %+.1f s, which does not affect timers", step / 1e6)
        else:
            self._partitions.steady[partition].forget()
            log.warning(
                "this process was suspended for %.1f s; it now follows the server's clock", step / 1e6
            )
