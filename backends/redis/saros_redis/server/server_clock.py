"""The server's clocks, as a process of the Redis backend estimates them."""

from __future__ import annotations

import time

from saros.model.clock import RealClock, steady_ns

STEP_NS = 100_000_000
"""A larger step of a server's clock means that it was set; a smaller one is drift."""
DRIFT = 1_000
"""Clocks may differ in rate by one part in this many."""


class RedisClock(RealClock):
    """The server's time of day, estimated from its replies."""

    def __init__(self) -> None:
        super().__init__()
        self._offset: int | None = None  # of the server's time to the steady clock

    def heard(self, micros: int, sent: int | None = None) -> None:
        """Note the server's time, in microseconds since 1970, of a reply that just came.

        The reply was in transit for an unknown time, so this is a lower bound for the server's time now.

        :param sent: when the script was sent, by `steady_ns`; it gives the upper bound.
        """
        least = micros * 1_000 - steady_ns()
        self._offset = least if self._offset is None else max(self._offset, least)
        if sent is not None:
            self._offset = min(self._offset, micros * 1_000 - sent)

    def now(self) -> int:
        return time.time_ns() if self._offset is None else steady_ns() + self._offset


class Steady:
    """The estimate of one partition's steady clock: the server's clock without the steps by which it was set.

    The server's time in a reply must lie between the times at which the script was sent and its reply was received.
    """

    def __init__(self) -> None:
        self._least: int | None = (
            None  # the least possible lead of the partition's clock over this process's clock
        )
        self._most = 0
        self._heard = 0

    def known(self) -> int:
        """Return the partition's steady time now, in microseconds, or slightly less; -1 while it is unknown."""
        return -1 if self._least is None else (steady_ns() + self._least) // 1_000

    def here(self, micros: int) -> int:
        """Return when `known` reaches that time (microseconds), by this process's clock (nanoseconds)."""
        return micros * 1_000 - (self._least or 0)

    def heard(self, micros: int, sent: int) -> int:
        """Note the time of a reply that just came. Return by how many microseconds the clock was set since the last
        reply, or slightly more, so that an error makes timers late, never early.

        :param sent: when the script was sent, by `steady_ns`.
        """
        now = steady_ns()
        least, most = micros * 1_000 - now, micros * 1_000 - sent
        if self._least is not None:
            drift = (now - self._heard) // DRIFT
            before, after = self._least - drift, self._most + drift
            if least > after + STEP_NS or most < before - STEP_NS:
                return (most - before) // 1_000
            if least <= after and before <= most:
                least, most = max(least, before), min(most, after)
        self._least, self._most, self._heard = least, most, now
        return 0

    def forget(self) -> None:
        """Adopt the server's time: this process was suspended, or its own clock is wrong."""
        self._least = None
