"""Tasks that nobody awaits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("saros")


def background(work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
    """Run a coroutine as one of `tasks` until it has ended; its failure is told in the log."""

    def ended(task: asyncio.Task[Any]) -> None:
        tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a request that nobody waits for has failed: %s", task.exception())

    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(ended)
    return task
