"""Clocks: the current time, and calls at a later time. All waits in a process use one clock.

There are two kinds of time. `now` is the time of day: it is for people to read, may be set, and may differ after
a failover of a server. `steady` is monotonic and runs at the pace of real time, even while the machine sleeps;
every duration is measured with it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol

from .timing import SECOND

LONGEST: Final = 100 * 365 * 86_400 * SECOND
"""The longest wait, in nanoseconds: a hundred years. So the sum of a time and a duration never overflows."""


def backoff(initial: int, coefficient: float, maximum: int, number: int) -> int:
    """The wait after failure `number` (1 is the first), in the unit of `initial` and `maximum`.

    It grows by `coefficient` each time, up to `maximum`, and is never negative. No argument raises an error.
    """
    if initial <= 0 or maximum <= 0:
        return 0
    try:
        wait = initial * coefficient ** max(number - 1, 0)
    except OverflowError:
        return maximum
    if not wait < maximum:  # also true if it is NaN
        return maximum
    return max(int(wait), 0)


class Handle(Protocol):
    def cancel(self) -> None: ...


def tell_failure(error: Exception) -> None:
    about = {"message": "a call of a timer failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(about)


class Clock(Protocol):
    failed: Callable[[Exception], None]
    """Receives the exception of a failed call, which is a bug in Saros: whatever waits for that call would wait for
    ever. By default it is logged. It stops neither the clock nor other calls that are due."""

    def now(self) -> int:
        """The time of day: nanoseconds since 1970."""
        ...

    def steady(self) -> int:
        """Nanoseconds of a monotonic clock; only differences are meaningful."""
        ...

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        """Run `call` once after the time from `now` to `when`; if that is past, as soon as this method has returned.

        Calls with equal times run in the order in which they were added. Setting the clock does not affect waits.
        """
        ...

    def call_on_date(self, when: int, call: Callable[[], None]) -> Handle:
        """Run `call` once when the time of day is `when`, even if the clock is set in the meantime.

        It also runs once the clock has been set back, so that the caller can look at the time anew: dates that were
        past may lie ahead again.
        """
        ...

    def call_after(self, ns: int, call: Callable[[], None], start: int | None = None) -> Handle:
        """Run `call` once when `ns` nanoseconds have passed since `start`, a time of `steady` (default: now).

        Calls with equal times run in the order in which they were added.
        """
        ...

    def busy(self, count: int) -> None:
        """Note that `count` more (or fewer) pieces of real work are in progress."""
        ...


@contextmanager
def working(clock: Clock) -> Iterator[None]:
    """Note a piece of real work that is in progress."""
    clock.busy(1)
    try:
        yield
    finally:
        clock.busy(-1)


@contextmanager
def waiting(clock: Clock) -> Iterator[None]:
    """Mark a part of work noted with `busy` in which it only waits for others."""
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
    """Waiting calls by time, and by their order if times are equal. Cancelling is cheap, because nearly all calls
    are time limits that are never reached."""

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
        """When the next call is due; None if no call waits."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
            self.dead -= 1
        return heap[0][0] if heap else None

    def call_due(self, now: int, clock: Clock) -> None:
        """Run the calls that are due, in order. Calls added in the meantime wait for the next time."""
        end = next(self._order)
        while (first := self.first()) is not None and first <= now and self._heap[0][1] < end:
            entry = heapq.heappop(self._heap)[2]
            call, entry.call = entry.call, None
            if call is not None:
                try:
                    call()
                except Exception as error:
                    clock.failed(error)


def _steady() -> Callable[[], int]:
    # CLOCK_MONOTONIC stands still while a Linux machine sleeps.
    number = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
    return time.monotonic_ns if number is None else partial(time.clock_gettime_ns, number)


steady_ns: Final = _steady()
"""Nanoseconds of the machine's monotonic clock that also runs while the machine sleeps."""


SET_NS: Final = SECOND
"""A clock that falls behind by more than this between two looks was set back."""
_ALL: Final = 2**63


class RealClock:
    """The machine's clocks.

    :param wall: returns the time of day, in nanoseconds since 1970.
    """

    SLACK_NS = 400_000
    LOOK_NS = 30 * SECOND
    """How often the clocks are checked: the event loop's own clock stops while the machine sleeps, and nothing
    reports that the time of day was set."""

    def __init__(self, wall: Callable[[], int] | None = None) -> None:
        self.failed: Callable[[Exception], None] = tell_failure
        self._wall = wall
        self._ahead = 0  # of `steady` before `now`, as last seen
        self._queue = CallQueue()  # by `steady`
        self._dates = CallQueue()  # by `now`
        self._lead = 0  # of `now` before `steady`, when the dates were last looked at
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0  # by `steady`
        self._firing = False

    def now(self) -> int:
        return time.time_ns() if self._wall is None else self._wall()

    steady = staticmethod(steady_ns)

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        now, ahead = self._look()
        if not ahead <= self._ahead <= ahead + self.SLACK_NS:  # else as before: equal times shall stay equal
            self._ahead = ahead + self.SLACK_NS // 2
        return self.call_after(when - now, call, now + self._ahead)

    def _look(self) -> tuple[int, int]:
        """The time of day, and how far `steady` is ahead of it, or a little more.

        The machine may stop this process between two readings. Then the difference says nothing, so read again.
        """
        for _ in range(10):
            start, now, end = steady_ns(), self.now(), steady_ns()
            if end - start < self.SLACK_NS // 4:
                break
        return now, end - now

    def call_on_date(self, when: int, call: Callable[[], None]) -> Handle:
        if self._dates.first() is None:
            self._lead = self.now() - steady_ns()
        entry = self._dates.add(when, call)
        self._arm()
        return entry

    def call_after(self, ns: int, call: Callable[[], None], start: int | None = None) -> Handle:
        due = (steady_ns() if start is None else start) + min(ns, LONGEST)
        entry = self._queue.add(due, call)
        if self._timer is None or due < self._timer_due or asyncio.get_running_loop() is not self._loop:
            self._arm()  # nearly always a timer is set that comes first
        return entry

    def _arm(self) -> None:
        """Schedule `_fire` in time for the first waiting call."""
        if self._firing:  # it does so itself, at its end
            return
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another one before it has ended, and its timer with it
            self._loop, self._timer = loop, None
        due, date = self._queue.first(), self._dates.first()
        if date is None and (due is None or (self._timer is not None and due >= self._timer_due)):
            return  # nothing waits, or what waits comes after the timer that is set; no clock need be read
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
            self._queue.call_due(steady_ns(), self)
            now = self.now()
            lead, before = now - steady_ns(), self._lead
            self._lead = lead
            self._dates.call_due(_ALL if lead < before - SET_NS else now, self)
        finally:
            self._firing = False
            self._arm()

    def busy(self, count: int) -> None:
        pass
