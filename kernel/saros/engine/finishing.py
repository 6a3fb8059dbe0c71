"""Work that is finished once it has begun, although whoever waits for it is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("saros.engine")


async def finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait for the end of `work`. Cancellations, however many, count after that.

    What was taken from a store is in nobody's hands when it is dropped half-way: it would wait for the end of
    its lease, and in memory there is none.

    :raises Exception: what the work raised.
    """
    task = asyncio.get_running_loop().create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if not cancelled:
        task.result()
        return
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.warning("work under way failed while the worker stopped: %s", error)
    raise asyncio.CancelledError
