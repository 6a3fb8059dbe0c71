"""The clocks of a database on a server.

The time of day is the server's. The steady clock is the server's clock plus an offset that the database stores. When
the server's clock is set, or another server takes over, the connected processes notice the step by their own steady
clocks, and correct the offset.
"""

from __future__ import annotations

import time
from typing import Final

from saros.model.clock import steady_ns

from ..database.transaction import Transaction

STEP_NS: Final = 100_000_000
"""A larger step of the server's clock means that it was set; a smaller one is drift."""
DRIFT: Final = 1_000
"""Clocks may differ in rate by one part in this many."""
SAVE_NS: Final = 2_000_000_000
NEAR_NS: Final = 10_000_000_000


class Estimate:
    """An estimate of what a clock of the server shows between two replies, in nanoseconds.

    The server reads its clock after a statement is sent and before its reply arrives. The time of the reply gives the
    lower bound of the estimate, and the time of sending the upper bound.
    """

    def __init__(self) -> None:
        self._ahead: int | None = None

    def now(self) -> int:
        return time.time_ns() if self._ahead is None else steady_ns() + self._ahead

    def heard(self, shown: int, sent: int) -> None:
        least, most = shown - steady_ns(), shown - sent
        self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)


class ServerClock:
    """The clocks of a store's database, as estimated from its replies."""

    def __init__(self) -> None:
        self._steady = Estimate()
        self._wall = Estimate()
        self._saved = 0

    def now(self) -> int:
        return self._steady.now()

    def wall(self) -> int:
        return self._wall.now()

    def heard(self, wall: int, steady: int | None, sent: int) -> None:
        """Record what the clocks showed; `steady` only if it was compared with the clock of this process.

        :param sent: when the statement was sent, by `steady_ns`.
        """
        self._wall.heard(wall, sent)
        if steady is not None:
            self._steady.heard(steady, sent)

    def save(self, tx: Transaction) -> None:
        if steady_ns() - self._saved >= SAVE_NS:
            self._saved = steady_ns()
            tx.run("UPDATE clock SET steady = ?, wall = ? WHERE steady < ?", tx.steady, tx.now, tx.steady)


class Pace:
    """Detects steps of a server's clock by the steady clock of this process.

    The server reads its clock between the time at which a statement is sent and the time at which its reply arrives.
    """

    def __init__(self) -> None:
        self._ahead: int | None = None
        self._least = self._most = self._heard = 0

    def step(self, steady: int, ahead: int, sent: int) -> int:
        """Return by how many nanoseconds the clock was set since the last call, or slightly more; 0 if it was not.

        :param steady: what the steady clock showed.
        :param ahead: the stored offset; if it has changed, another process has already corrected it.
        :param sent: when the statement was sent, by `steady_ns`.
        """
        now = steady_ns()
        least, most = steady - now, steady - sent
        if ahead == self._ahead:
            drift = (now - self._heard) // DRIFT
            before, after = self._least - drift, self._most + drift
            if least > after + STEP_NS or most < before - STEP_NS:
                return most - before
            if least <= after and before <= most:
                least, most = max(least, before), min(most, after)
        self._ahead, self._least, self._most, self._heard = ahead, least, most, now
        return 0

    def forget(self) -> None:
        """Accept the database's time at the next call of `step`."""
        self._ahead = None


def stood_still(step: int, steady: int, seen: int) -> bool:
    """Return whether this process stood still or has a wrong clock, because others agree with the server.

    :param seen: the steady time that other processes stored last.
    """
    return step > 0 and seen > steady - step + NEAR_NS
