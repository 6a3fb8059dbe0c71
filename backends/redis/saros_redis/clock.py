"""The clock of a process on the Redis backend: the server's time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from saros.clock import Handle

TOLERANCE_NS = 20_000_000
"""A reply takes a while; only a greater difference than this is one of the clocks."""


class RedisClock:
    """The machine's clock, corrected by what the server's replies say."""

    def __init__(self) -> None:
        self._offset = 0

    def heard(self, micros: int) -> None:
        """Note the server's time, in microseconds since 1970, of a reply that just came."""
        difference = micros * 1_000 - time.time_ns() - self._offset
        if abs(difference) > TOLERANCE_NS:
            self._offset += difference

    def now(self) -> int:
        return time.time_ns() + self._offset

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        return asyncio.get_running_loop().call_later(max(0, when - self.now()) / 1e9, call)

    def busy(self, count: int) -> None:
        pass
