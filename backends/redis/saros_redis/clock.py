"""The clocks of a process on the Redis backend: the server's."""

from __future__ import annotations

import time

from saros.clock import RealClock, steady_ns

TOLERANCE_NS = 20_000_000
"""A reply takes a while; only a greater difference than this is one of the clocks."""
STEP_NS = 100_000_000
"""A server's clock that goes wrong by more than this was set; what is less drifts."""
DRIFT = 1_000
"""Clocks may differ in their pace by one part in so many."""


class RedisClock(RealClock):
    """The time of day is the server's, as its replies say."""

    def __init__(self) -> None:
        super().__init__()
        self._offset: int | None = None  # of the server's time to the steady clock

    def heard(self, micros: int) -> None:
        """Note the server's time, in microseconds since 1970, of a reply that just came."""
        offset = micros * 1_000 - steady_ns()
        if self._offset is None or abs(offset - self._offset) > TOLERANCE_NS:
            self._offset = offset

    def now(self) -> int:
        return time.time_ns() if self._offset is None else steady_ns() + self._offset


class Steady:
    """What this process knows of the steady clock of one partition, which is the server's as long as nobody sets it.

    While a script is under way the server's clock must show a time between those of sending and hearing it.
    """

    def __init__(self) -> None:
        self._offset: int | None = None  # of the partition's clock to that of this process
        self._heard = 0

    def known(self) -> int:
        """The partition's steady time now, in microseconds; -1 when it is not known yet."""
        return -1 if self._offset is None else (steady_ns() + self._offset) // 1_000

    def here(self, micros: int) -> int:
        """A steady time of the partition (microseconds) by this process's clock (nanoseconds)."""
        return micros * 1_000 - (self._offset or 0)

    def heard(self, micros: int, sent: int) -> int:
        """Note the time of a reply that just came; gives by how many microseconds that clock was set since the last.

        :param sent: when the script was sent, by `steady_ns`.
        """
        now = steady_ns()
        lowest, highest = micros * 1_000 - now, micros * 1_000 - sent
        if self._offset is None:
            self._offset, self._heard = (lowest + highest) // 2, now
            return 0
        nearest = min(max(self._offset, lowest), highest)
        step = nearest - self._offset
        if abs(step) > STEP_NS + (now - self._heard) // DRIFT:
            return round(step / 1_000)
        self._offset, self._heard = nearest, now
        return 0

    def forget(self) -> None:
        """Trust the server: this process has stood still, or its own clock goes wrong."""
        self._offset = None
