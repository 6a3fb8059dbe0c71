"""The clocks of a database on a server.

The time of day is the server's. Its steady clock is the server's clock and a distance that the database keeps: when
the server's clock is set, or another server takes over, the processes that work on it see that by their own steady
clocks, and change the distance by as much.
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
    """What a clock of the server shows between two replies, in nanoseconds.

    A reply was under way for an unknown time, so it tells the least that the clock shows now. When the statement was
    sent tells the most.
    """

    def __init__(self) -> None:
        self._ahead: int | None = None

    def now(self) -> int:
        return time.time_ns() if self._ahead is None else steady_ns() + self._ahead

    def heard(self, shown: int, sent: int) -> None:
        least, most = shown - steady_ns(), shown - sent
        self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)


class ServerClock:
    """The clocks of a store's database, as far as it has heard of them."""

    def __init__(self) -> None:
        self._steady = Estimate()
        self._wall = Estimate()
        self._saved = 0

    def now(self) -> int:
        return self._steady.now()

    def wall(self) -> int:
        return self._wall.now()

    def heard(self, wall: int, steady: int | None, sent: int) -> None:
        """Note what they show; `steady` only when it has been compared with the clock of this process.

        :param sent: when this was asked, by `steady_ns`.
        """
        self._wall.heard(wall, sent)
        if steady is not None:
            self._steady.heard(steady, sent)

    def save(self, tx: Transaction) -> None:
        if steady_ns() - self._saved >= SAVE_NS:
            self._saved = steady_ns()
            tx.run("UPDATE clock SET steady = ?, wall = ? WHERE steady < ?", tx.steady, tx.now, tx.steady)


class Pace:
    """Compares a server's clock with that of this process.

    While a statement is under way, the server's clock shows a time between those of sending it and hearing of it.
    """

    def __init__(self) -> None:
        self._ahead: int | None = None
        self._least = self._most = self._heard = 0

    def step(self, steady: int, ahead: int, sent: int) -> int:
        """By how many nanoseconds the clock was set since the last time, or somewhat more.

        :param steady: what the steady clock showed.
        :param ahead: the distance that the database keeps; when that is new, others have seen the same.
        :param sent: when this was asked, by `steady_ns`.
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
        """Adopt the database's time next."""
        self._ahead = None


def stood_still(step: int, steady: int, seen: int) -> bool:
    """Whether it was this process that stood still, or whose clock is wrong: others agree with the server.

    :param seen: what others have last noted of the steady clock.
    """
    return step > 0 and seen > steady - step + NEAR_NS
