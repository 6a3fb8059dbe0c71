"""Waiters for changes of runs and for deadlines in this event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from .database.transaction import Touched


class Waiting:
    """The waiters of one event loop."""

    def __init__(self) -> None:
        self._runs: dict[str, list[tuple[int, asyncio.Future[bool]]]] = defaultdict(list)
        self._alarm: asyncio.Future[bool] | None = None
        self._due: int | None = None

    def heard(self, touched: Touched) -> None:
        """Wake the waiters for what has changed."""
        for run_id, length in touched.runs.items():
            for after, future in self._runs.get(run_id, ()):
                if length > after:
                    _wake(future, True)
        if touched.unknown:
            for waiters in self._runs.values():
                for _, future in waiters:
                    _wake(future, False)
        if touched.due is not None and (self._due is None or touched.due < self._due):
            self._due = touched.due
            if self._alarm is not None:
                _wake(self._alarm, True)

    def expect_run(self, run_id: str, length: int) -> asyncio.Future[bool]:
        """Return a future that gets True once a run has more than `length` records or has ended, and False when that
        may be so."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._runs[run_id].append((length, future))
        return future

    def drop_run(self, run_id: str, future: asyncio.Future[bool]) -> None:
        left = [each for each in self._runs.pop(run_id, ()) if each[1] is not future]
        if left:
            self._runs[run_id] = left

    # --- deadlines --------------------------------------------------------------------------

    def take_alarm(self) -> None:
        """Forget the announced deadlines: the caller checks for them now."""
        self._due = None

    async def alarm(self, seconds: float, following: int | None) -> None:
        """Sleep for `seconds`, or until a deadline is announced that is earlier than the following one."""
        if self._due is not None and (following is None or self._due < following):
            return
        self._due, self._alarm = following, asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._alarm
        except TimeoutError:
            pass
        finally:
            self._alarm = None


def _wake(future: asyncio.Future[bool], known: bool) -> None:
    if not future.done():
        future.set_result(known)
