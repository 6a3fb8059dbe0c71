"""Work that is finished once it has begun: although whoever waits for it is cancelled, or the store is away."""

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
"""How long a worker that is to stop finishes what it has begun: a store that is away must not hold it longer."""


async def shielded(work: Coroutine[Any, Any, None], name: str) -> None:
    """Wait for the end of `work`, which a cancellation waits for, too, for `FINISH_S` seconds.

    What was taken from a store is in nobody's hands when it is dropped half-way: it would wait for the end of
    its lease, and in memory there is none.

    :raises Exception: what the work raised.
    """
    await background.shielded(work, name, FINISH_S)


async def patiently(work: Callable[[], Awaitable[Any]], what: str) -> None:
    """Do something again while the store is away, for `PATIENCE_S` seconds: a worker that is to stop waits for it.

    :param what: what it is, for the log.
    :raises Error: what it failed with otherwise, or in the end.
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
