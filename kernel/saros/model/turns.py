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
"""Shorter steps end no turn while they are few: there are thousands of them, and to schedule a round costs more."""


class Turns:
    """The turns of the programs of one event loop. Steps that wait run in the order in which they came."""

    def __init__(self) -> None:
        self._used = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coming = False  # whether the next round is scheduled
        self._called: asyncio.Future[None] | None = None  # of the step whose turn it is, until it runs

    def over(self) -> bool:
        """Return whether the next step must wait for the next round."""
        return self._used > TURN_S or self._called is not None

    def used(self, seconds: float) -> None:
        """Count the time of a step."""
        self._used += seconds
        if seconds > SHORT_S or self._used > TURN_S:
            self._next_round()

    def wait(self, step: Callable[[], None]) -> None:
        """Run a step in a later round."""
        self._begin_anew()
        self._waiting.append(step)
        self._next_round()

    async def step(self, do: Callable[[], T]) -> T:
        """Run a step when it is its turn, and return its result."""
        if self._waiting or self.over():
            turn = asyncio.get_running_loop().create_future()
            self.wait(lambda: self._call(turn))
            try:
                await turn
            finally:
                if self._called is turn:
                    self._called = None
                    self._next_round()
        return self.counted(do)

    def counted(self, do: Callable[[], T]) -> T:
        """Run a step at once, and count its time."""
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

    def _call(self, turn: asyncio.Future[None]) -> None:
        """Let a step run next: its task does so in the next round of the loop, and the others wait for it."""
        if not turn.done():  # else its task was cancelled
            self._called = turn
            turn.set_result(None)

    def _next_round(self) -> None:
        loop = self._begin_anew()
        if not self._coming:
            self._coming = True
            loop.call_later(0, self._round)  # a timer: those that are due earlier come first

    def _begin_anew(self) -> asyncio.AbstractEventLoop:
        """Return the loop; forget what waited in an earlier one, which has closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            self._coming, self._used, self._called = False, 0.0, None
            self._waiting.clear()
        self._loop = loop
        return loop

    def _round(self) -> None:
        self._used, self._coming = 0.0, False
        try:
            for _ in range(len(self._waiting)):  # what comes meanwhile waits for the next round
                if self.over():
                    break
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._next_round()
