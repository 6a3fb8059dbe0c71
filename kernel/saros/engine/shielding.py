"""Work that is finished once it has begun, even if its caller is cancelled or the store is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..model import background
from ..model.errors import UNAVAILABLE, Error

log = logging.getLogger("saros.engine")

PAUSE_S = 0.1
PAUSE_MAX_S = 5.0
PATIENCE_S = 30.0
FINISH_S = 10.0
"""How long a stopping worker may finish what it has begun; an unavailable store must not delay it longer."""


async def shielded(work: Coroutine[Any, Any, None], name: str) -> None:
    """Wait for the end of `work`; a cancellation takes effect after it, or after `FINISH_S` seconds.

    If work were dropped half-way, nobody would own what was taken from the store: it would wait for the end of
    its lease, and the memory store has no leases.

    :raises Exception: what the work raised.
    """
    await background.shielded(work, name, FINISH_S)


async def patiently(work: Callable[[], Awaitable[Any]], what: str) -> None:
    """Retry work while the store is away, for `PATIENCE_S` seconds, because a stopping worker waits for it.

    :param what: a description of the work, for the log.
    :raises Error: any other failure, or the last one.
    """
    pause, patience = PAUSE_S, asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            await work()
            return
        except Error as error:
            if error.kind != UNAVAILABLE or asyncio.get_running_loop().time() > patience:
                raise
            log.warning("%s; %s again in %.1f s", error, what, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX_S)
