"""Clocks: what time it is, and calls at a later time. In a process, everything that waits asks one clock.

Two times are kept apart. `now` is the time of day, which somebody may set and which a server may tell otherwise
after a failover; it is for what people read. `steady` only ever goes on, at the pace of real time and while the
machine sleeps, too; every duration is measured by it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from .timing import SECOND

LONGEST: Final = 100 * 365 * 86_400 * SECOND
"""Nanoseconds: a hundred years. Nothing waits longer, so that no sum of a time and a duration is too large."""


def backoff(initial: int, coefficient: float, maximum: int, number: int) -> int:
    """The wait after failure `number` (1 is the first), in the unit of `initial` and `maximum`.

    It grows by `coefficient` each time, to `maximum` at most, and is never negative; no argument makes it fail.
    """
    if initial <= 0 or maximum <= 0:
        return 0
    try:
        wait = initial * coefficient ** max(number - 1, 0)
    except OverflowError:
        return maximum
    if not wait < maximum:  # also when it is no number
        return maximum
    return max(int(wait), 0)


class Handle(Protocol):
    def cancel(self) -> None: ...


def tell_failure(error: Exception) -> None:
    about = {"message": "a call of a timer failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(about)


class Clock(Protocol):
    failed: Callable[[Exception], None]
    """Gets what a call raised, which is a fault of ours: whoever waits for that call would wait for ever. By default
    the log tells it. It stops neither the clock nor what else is due."""

    def now(self) -> int:
        """The time of day: nanoseconds since 1970."""
        ...

    def steady(self) -> int:
        """Nanoseconds of a clock that nobody sets; only differences mean something."""
        ...

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        """Call once after the time from `now` to `when`; at once (but never within this call) if that is past.

        Equal times come in the order of these calls. Setting the clock does not affect waits.
        """
        ...

    def call_on_date(self, when: int, call: Callable[[], None]) -> Handle:
        """Call once when the time of day is `when`, also when the clock is set meanwhile."""
        ...

    def call_after(self, ns: int, call: Callable[[], None], start: int | None = None) -> Handle:
        """Call once when `ns` nanoseconds have passed since `start`, a time of `steady` (default: now).

        Equal times come in the order of these calls.
        """
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

    def __init__(self, call: Callable[[], None], queue: CallQueue) -> None:
        self.call: Callable[[], None] | None = call
        self.queue = queue

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self.queue.dead += 1


class CallQueue:
    """Waiting calls by time, equal ones by their order. Cheap to cancel, for nearly all of them are time limits
    that nothing runs into."""

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

    def call_due(self, now: int, clock: Clock) -> None:
        """Call what is due, in order. What is added meanwhile and due already waits for the next time."""
        end = next(self._order)
        while (first := self.first()) is not None and first <= now and self._heap[0][1] < end:
            entry = heapq.heappop(self._heap)[2]
            call, entry.call = entry.call, None
            if call is not None:
                try:
                    call()
                except Exception as error:
                    clock.failed(error)


# CLOCK_MONOTONIC stands still while a Linux machine sleeps.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)


def steady_ns() -> int:
    """Nanoseconds of the machine's clock that nobody sets and that goes on while the machine sleeps."""
    return time.monotonic_ns() if _STEADY is None else time.clock_gettime_ns(_STEADY)


class RealClock:
    """The machine's clocks.

    :param wall: gives the time of day, in nanoseconds since 1970.
    """

    SLACK_NS = 400_000
    LOOK_NS = 30 * SECOND
    """The clocks are looked at this often: the event loop's own stands still while the machine sleeps, and nobody
    tells when the time of day is set."""

    def __init__(self, wall: Callable[[], int] | None = None) -> None:
        self.failed: Callable[[Exception], None] = tell_failure
        self._wall = wall
        self._ahead = 0  # of `steady` before `now`, as last seen
        self._queue = CallQueue()  # by `steady`
        self._dates = CallQueue()  # by `now`
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0  # by `steady`
        self._firing = False

    def now(self) -> int:
        return time.time_ns() if self._wall is None else self._wall()

    def steady(self) -> int:
        return steady_ns()

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        now = self.now()
        ahead = steady_ns() - now
        if not ahead <= self._ahead <= ahead + self.SLACK_NS:  # else as before: equal times shall stay equal
            self._ahead = ahead + self.SLACK_NS // 2
        return self.call_after(when - now, call, now + self._ahead)

    def call_on_date(self, when: int, call: Callable[[], None]) -> Handle:
        entry = self._dates.add(when, call)
        self._arm()
        return entry

    def call_after(self, ns: int, call: Callable[[], None], start: int | None = None) -> Handle:
        entry = self._queue.add((steady_ns() if start is None else start) + min(ns, LONGEST), call)
        self._arm()
        return entry

    def _arm(self) -> None:
        """Have `_fire` come in time for the first call that waits."""
        if self._firing:  # it does so itself, at its end
            return
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another one before it has ended, and its timer with it
            self._loop, self._timer = loop, None
        due, date = self._queue.first(), self._dates.first()
        if due is None and date is None:
            return
        now = steady_ns()
        next_look = now + self.LOOK_NS
        if due is not None:
            next_look = min(next_look, due)
        if date is not None:
            next_look = min(next_look, now + date - self.now())
        if self._timer is not None:
            if next_look >= self._timer_due:
                return
            self._timer.cancel()
        self._timer_due = next_look
        self._timer = loop.call_later(max(0, next_look - now) / 1e9, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._firing = True
        try:
            for queue, now in ((self._queue, steady_ns()), (self._dates, self.now())):
                queue.call_due(now, self)
        finally:
            self._firing = False
            self._arm()

    def busy(self, count: int) -> None:
        pass
