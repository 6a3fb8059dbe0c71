"""Virtual time: ``memory://?time=skip``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from saros.model.clock import LONGEST, CallQueue, Handle, tell_failure


class VirtualClock:
    """A clock that jumps to the next waiting call whenever nothing can run. Between jumps it stands still.

    "Nothing can run" means that no work is noted with `busy`, and that nothing has happened for a millisecond and
    then for `HOPS` rounds of the event loop. The rounds matter on a busy machine, where a millisecond can pass
    before ready callbacks have had their turn.
    """

    IDLE_S = 0.001
    HOPS = 20

    def __init__(self, start: int | None = None) -> None:
        self.failed: Callable[[Exception], None] = tell_failure
        self._now = time.time_ns() if start is None else start
        self._queue = CallQueue()
        self._busy = 0
        self._held = 0
        self._activity = 0
        self._checking: asyncio.AbstractEventLoop | None = None  # the event loop of the check under way
        self._settled: list[asyncio.Future[None]] = []

    def now(self) -> int:
        return self._now

    def steady(self) -> int:
        return self._now

    def call_at(self, when: int, call: Callable[[], None]) -> Handle:
        entry = self._queue.add(when, call)
        self.touch()
        return entry

    call_on_date = call_at

    def call_after(self, ns: int, call: Callable[[], None], start: int | None = None) -> Handle:
        return self.call_at((self._now if start is None else start) + min(ns, LONGEST), call)

    def busy(self, count: int) -> None:
        self._busy += count
        self.touch()

    def touch(self) -> None:
        """Note activity: the clock waits for another idle moment before it jumps."""
        self._activity += 1
        self._watch()

    def _watch(self) -> None:
        if not self._busy and (self._settled or (not self._held and self._queue.first() is not None)):
            loop = asyncio.get_running_loop()
            if self._checking is not loop:  # the check of another event loop ended with it
                self._checking = loop
                loop.call_later(self.IDLE_S, self._look, self._activity, self.HOPS)

    def _look(self, seen: int, hops: int) -> None:
        if self._busy:
            self._checking = None
        elif seen != self._activity:
            self._checking = None
            self._watch()
        elif hops:
            asyncio.get_running_loop().call_soon(self._look, seen, hops - 1)
        else:
            self._checking = None
            self._idle()

    def _idle(self) -> None:
        """Tell those who wait until nothing can run, or jump."""
        if self._settled:
            waiters, self._settled = self._settled, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        elif not self._held:
            first = self._queue.first()
            if first is None:
                return
            self._jump(first)
        self.touch()

    def _jump(self, when: int) -> None:
        self._now = max(self._now, when)
        self._queue.call_due(self._now, self)

    # --- for tests --------------------------------------------------------------------------

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the clock from jumping, for example until a test has sent all its messages."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self.touch()

    def stop(self) -> None:
        """Let the clock jump only within `passing`."""
        self._held += 1

    @contextmanager
    def passing(self) -> Iterator[None]:
        """After `stop`, a context within which the clock may jump."""
        self._held -= 1
        self.touch()
        try:
            yield
        finally:
            self._held += 1

    @property
    def activity(self) -> int:
        """A number that changes with every activity."""
        return self._activity

    def settled(self) -> asyncio.Future[None]:
        """Return a future that completes when nothing more can run until the clock moves."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settled.append(waiter)
        self._watch()
        return waiter

    async def pass_time(self, ns: int) -> None:
        """Move the clock by exactly `ns` nanoseconds; calls that become due run at their own times."""
        end = self._now + ns
        with self.hold():
            await self.settled()
            while (first := self._queue.first()) is not None and first <= end:
                self._jump(first)
                await self.settled()
            self._now = max(self._now, end)
