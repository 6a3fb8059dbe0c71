"""Clocks: what time it is, and calls at a later time. In a process, everything that waits asks one clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> int:
        """Nanoseconds since 1970."""
        ...

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        """Call once when it is `when`; at once (but never within this call) if that is past."""
        ...

    def busy(self, count: int) -> None:
        """Note that `count` more (or fewer) pieces of real work are under way."""
        ...


@contextmanager
def waiting(clock: Clock) -> Iterator[None]:
    """Within work that is noted with `busy`: here it only waits for others."""
    clock.busy(-1)
    try:
        yield
    finally:
        clock.busy(1)


class RealClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns()

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(max(0, when - time.time_ns()) / 1e9, call)

    def busy(self, count: int) -> None:
        pass


class _Entry:
    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class VirtualClock:
    """A clock that jumps to the next waiting call whenever nothing can run.

    "Nothing can run" means: no work is noted with `busy`, and the event loop came round idle twice, a
    millisecond apart. Between jumps the clock stands still.
    """

    IDLE_S = 0.001

    def __init__(self, start: int | None = None) -> None:
        self._now = time.time_ns() if start is None else start
        self._waiting: list[tuple[int, int, _Entry]] = []
        self._order = itertools.count()
        self._busy = 0
        self._activity = 0
        self._check: asyncio.TimerHandle | None = None

    def now(self) -> int:
        return self._now

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        entry = _Entry(call)
        heapq.heappush(self._waiting, (when, next(self._order), entry))
        self.touch()
        return entry

    def busy(self, count: int) -> None:
        self._busy += count
        self.touch()

    def touch(self) -> None:
        """Note that something happened: the clock waits for another idle moment before it jumps."""
        self._activity += 1
        if self._check is None and not self._busy and self._waiting:
            seen = self._activity
            self._check = asyncio.get_running_loop().call_later(self.IDLE_S, self._idle, seen)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the clock from jumping, as when a test still has something to say."""
        self.busy(1)
        try:
            yield
        finally:
            self.busy(-1)

    def _idle(self, seen: int) -> None:
        self._check = None
        if self._busy:
            return
        if seen != self._activity:
            self.touch()
            return
        while self._waiting and self._waiting[0][2].call is None:
            heapq.heappop(self._waiting)
        if not self._waiting:
            return
        self._now = max(self._now, self._waiting[0][0])
        while self._waiting and self._waiting[0][0] <= self._now:
            call = heapq.heappop(self._waiting)[2].call
            if call is not None:
                call()
        self.touch()
