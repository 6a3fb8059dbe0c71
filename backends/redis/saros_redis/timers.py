"""Deadlines: when to look next for those that are due."""

from __future__ import annotations

import asyncio

from .core import Core

LIMIT = 50
"""Deadlines per script: it must not hold the server for long."""
PAUSE_S = 1.0
"""Every worker looks this often, for deadlines that a lost worker set."""


class Alarm:
    """Knows when the next deadline that this process set is due, in nanoseconds since 1970."""

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


class Timers:
    def __init__(self, core: Core, alarm: Alarm) -> None:
        self._core = core
        self._alarm = alarm

    async def run(self) -> None:
        """Fire what is due, for all, until cancelled."""
        following: int | None = None
        while True:
            mine = self._alarm.take()
            if mine is not None and (following is None or mine < following):
                following = mine
            now = self._core.clock.now()
            if following is not None and following > now:
                wait = min((following - now) / 1e9, PAUSE_S)
            else:
                wait = 0.0 if following is not None else PAUSE_S
            if wait and await self._alarm.wait(wait):
                continue
            following = await self._fire()

    async def _fire(self) -> int | None:
        """Fire everything that is due; gives when the next deadline is, if there is any."""
        nexts: list[int] = []
        for partition in range(self._core.keys.partitions):
            while True:
                now, fired, following = await self._core.run("fire", partition, [LIMIT])
                self._core.clock.heard(int(now))
                if int(fired) < LIMIT:
                    break
            if float(following) >= 0:
                nexts.append(int(float(following)) * 1_000)
        return min(nexts, default=None)
