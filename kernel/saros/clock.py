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


class _Entry:
    __slots__ = ("call", "queue")

    def __init__(self, call: Callable[[], None], queue: _Queue) -> None:
        self.call: Callable[[], None] | None = call
        self.queue = queue

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self.queue.dead += 1


class _Queue:
    """Waiting calls by time. Cheap to cancel, for nearly all of them are time limits that nothing runs into."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _Entry]] = []
        self._order = itertools.count()
        self.dead = 0  # cancelled entries in the heap

    def add(self, when: int, call: Callable[[], None]) -> _Entry:
        if self.dead > 100 and self.dead * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self.dead = 0
        entry = _Entry(call, self)
        heapq.heappush(self._heap, (when, next(self._order), entry))
        return entry

    def first(self) -> int | None:
        """When the next call is due; None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
            self.dead -= 1
        return heap[0][0] if heap else None

    def due(self, now: int) -> Iterator[Callable[[], None]]:
        """Take out what is due, in order."""
        while (first := self.first()) is not None and first <= now:
            entry = heapq.heappop(self._heap)[2]
            call, entry.call = entry.call, None
            if call is not None:
                yield call


class RealClock:
    """The machine's clock. What waits does not heed that somebody sets it."""

    def __init__(self) -> None:
        self._queue = _Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0  # by the monotonic clock, as all in the queue

    def now(self) -> int:
        return time.time_ns()

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        due = time.monotonic_ns() + max(0, when - time.time_ns())
        entry = self._queue.add(due, call)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another one before it has ended, and its timer with it
            self._loop, self._timer = loop, None
        if self._timer is None or due < self._timer_due:
            self._arm(due)
        return entry

    def _arm(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(
            max(0, due - time.monotonic_ns()) / 1e9, self._fire
        )

    def _fire(self) -> None:
        self._timer = None
        try:
            for call in self._queue.due(time.monotonic_ns()):
                call()
        finally:
            first = self._queue.first()
            if first is not None and self._timer is None:
                self._arm(first)

    def busy(self, count: int) -> None:
        pass


class VirtualClock:
    """A clock that jumps to the next waiting call whenever nothing can run.

    "Nothing can run" means: no work is noted with `busy`, and the event loop came round idle twice, a
    millisecond apart. Between jumps the clock stands still.
    """

    IDLE_S = 0.001

    def __init__(self, start: int | None = None) -> None:
        self._now = time.time_ns() if start is None else start
        self._queue = _Queue()
        self._busy = 0
        self._activity = 0
        self._check: asyncio.TimerHandle | None = None

    def now(self) -> int:
        return self._now

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        entry = self._queue.add(when, call)
        self.touch()
        return entry

    def busy(self, count: int) -> None:
        self._busy += count
        self.touch()

    def touch(self) -> None:
        """Note that something happened: the clock waits for another idle moment before it jumps."""
        self._activity += 1
        if self._check is None and not self._busy and self._queue.first() is not None:
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
        first = self._queue.first()
        if first is None:
            return
        self._now = max(self._now, first)
        for call in self._queue.due(self._now):
            call()
        self.touch()
