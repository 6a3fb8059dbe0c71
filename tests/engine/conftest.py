"""Engine tests drive the memory store and its workers directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Runner:
    """``run(coroutine)`` runs a coroutine on a fresh event loop, for at most half a minute."""

    def runner(work: Coroutine[Any, Any, None]) -> None:
        async def limited() -> None:
            async with asyncio.timeout(100):
                await work

        asyncio.run(limited())

    return runner
