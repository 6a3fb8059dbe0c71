"""How programs share an event loop with everything else in it.

asyncio runs all callbacks that are ready before it looks at timers and sockets again. A hundred programs that each
compute for 100 ms would keep it from them for ten seconds: leases would end, and probes would go unanswered. So
programs take turns: once their steps have used `TURN_S` since the loop last looked, the next step waits until it has
looked again. A loop with timers that are due is then never kept waiting for more than that, and one step.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Final, TypeVar

T = TypeVar("T")

TURN_S: Final = 0.05
"""How long steps may compute in one round of the loop."""
SHORT_S: Final = 0.000_5
"""Shorter steps are not counted: there are thousands of them, and counting costs more than they do."""


class Turns:
    """The turns of the programs of one event loop. Steps that wait run in the order in which they came."""

    def __init__(self) -> None:
        self._used = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # whose next round is coming

    def over(self) -> bool:
        """Return whether the next step must wait for the next round."""
        return self._used > TURN_S

    def used(self, seconds: float) -> None:
        """Count the time of a step."""
        if seconds > SHORT_S:
            self._used += seconds
            self._next_round()

    def wait(self, step: Callable[[], None]) -> None:
        """Run a step in a later round."""
        self._waiting.append(step)
        self._next_round()

    async def step(self, do: Callable[[], T]) -> T:
        """Run a step when it is its turn, and return its result."""
        while self.over():
            turn = asyncio.Event()
            self.wait(turn.set)
            await turn.wait()
        began = time.perf_counter()
        try:
            return do()
        finally:
            self.used(time.perf_counter() - began)

    async def run(self, parts: Generator[None, None, T]) -> T:
        """Carry out work whose parts are steps, with other work between them, and return its result."""
        ended: list[T] = []

        def part() -> None:
            try:
                next(parts)
            except StopIteration as end:
                ended.append(end.value)

        try:
            while not ended:
                await self.step(part)
        finally:
            parts.close()
        return ended[0]

    def _next_round(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # an earlier loop may have closed before its round came
            self._loop = loop
            loop.call_later(0, self._round)  # a timer: those that are due earlier come first

    def _round(self) -> None:
        self._used, self._loop = 0.0, None
        while self._waiting and not self.over():
            self._waiting.popleft()()
        if self._waiting:
            self._next_round()
