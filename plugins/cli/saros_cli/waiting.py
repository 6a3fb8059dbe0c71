"""Waiting for a server that is not up yet."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from saros.interfaces.backend import Backend
    from saros.model.background import Job

log = logging.getLogger("saros.run")

PAUSE_S: Final = 1.0
"""The time between two attempts, and between two lines about one that has no answer yet."""
LEAST_S: Final = 1.0
"""The time that an attempt gets at least, however little of the wait is left."""
END_S: Final = 2.0
"""How long an attempt may take to end when its time is over."""


class Wait:
    """Tries to connect until the server answers, and says so each second.

    :param url: the backend's.
    :param seconds: the longest wait; with 0 there is one attempt, which ends by the limits of the backend.
    :param stop: ends the wait when it is set.
    """

    def __init__(self, url: str, seconds: float, stop: asyncio.Event) -> None:
        from saros.model.text import without_secrets

        self._url = without_secrets(url)
        self._seconds = seconds
        self._stop = stop

    async def connect(self, attempt: Callable[[], Coroutine[Any, Any, Backend]]) -> Backend:
        """:raises Error: that of the last attempt that had one; UNAVAILABLE when none had an answer."""
        from saros.model.background import Job
        from saros.model.errors import UNAVAILABLE, Error

        loop = asyncio.get_running_loop()
        began = loop.time()
        until = began + self._seconds
        stopping = Job(self._stop.wait(), "the wait for a signal")
        last: Error | None = None
        try:
            while not stopping.done():
                try:
                    backend = await self._try(attempt, until, stopping)
                except Error as error:
                    last = error
                    if error.kind != UNAVAILABLE or loop.time() >= until:
                        raise
                    left = until - loop.time()
                    log.warning("%s; trying again for at most %d s", error.message, math.ceil(left))
                    await asyncio.wait({stopping.task}, timeout=min(PAUSE_S, left))
                else:
                    if backend is not None:
                        return backend
                    break
        finally:
            await stopping.end()
        raise last or Error(
            f"{self._url} has not answered within {loop.time() - began:.0f} s",
            UNAVAILABLE,
            hint="check that the server runs, that the URL is right, and that no firewall drops its packets",
        )

    async def _try(
        self, attempt: Callable[[], Coroutine[Any, Any, Backend]], until: float, stopping: Job[Literal[True]]
    ) -> Backend | None:
        """Make one attempt within the time that is left; return None when it has had no answer."""
        from saros.model.background import Job

        loop = asyncio.get_running_loop()
        until = max(until, loop.time() + LEAST_S) if self._seconds else math.inf
        trying = Job(attempt(), "connecting")
        either = {trying.task, stopping.task}
        try:
            while not stopping.done() and (left := until - loop.time()) > 0:
                await asyncio.wait(either, timeout=min(PAUSE_S, left), return_when=asyncio.FIRST_COMPLETED)
                if trying.done():
                    return trying.task.result()
                if self._seconds and (left := until - loop.time()) > 0 and not stopping.done():
                    log.warning(
                        "%s has not answered yet; waiting for at most %d s", self._url, math.ceil(left)
                    )
        finally:
            await trying.end(END_S)
        answered = trying.done() and not trying.task.cancelled() and trying.failure() is None
        return trying.task.result() if answered else None
