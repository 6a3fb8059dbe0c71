"""Gauges of task queues. The backend is asked at fixed intervals, not for each scrape."""

from __future__ import annotations

import logging
import time
from typing import Final

import anyio

from saros.interfaces.backend import Backend
from saros.model.errors import Error

from .instruments import Instruments
from .metrics import Key

log = logging.getLogger("saros.otel")

EVERY_S: Final = 15.0
"""The interval, in seconds, between two requests to the backend."""


async def follow_queues(backend: Backend, instruments: Instruments) -> None:
    """Keep the gauges of task queues up to date until cancelled. While the backend is away they have none."""
    while True:
        await anyio.sleep(EVERY_S)
        depth: dict[Key, float] = {}
        age: dict[Key, float] = {}
        pollers: dict[Key, float] = {}
        try:
            for queue in await backend.queues():
                labels = (("task_queue", queue.name), ("task_type", queue.kind))
                pollers[labels] = queue.pollers
                if queue.waiting is not None:
                    depth[labels] = queue.waiting
                    since = queue.oldest
                    age[labels] = max(0.0, (time.time_ns() - since) / 1e9) if since is not None else 0.0
        except Error as error:
            log.debug("the task queues cannot be measured: %s", error)
            pollers = depth = age = {}
        instruments.replace("saros_task_queue_depth", depth)
        instruments.replace("saros_task_queue_age", age)
        instruments.replace("saros_task_queue_pollers", pollers)
