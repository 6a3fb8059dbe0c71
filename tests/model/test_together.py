"""Work on many items: bounded, in order, and over when it has failed."""

from __future__ import annotations

import asyncio

import pytest

from saros.model.background import each

pytestmark = pytest.mark.anyio


async def test_so_many_at_once_and_results_in_order() -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5 - item % 5):
            await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await each(work, range(20), 3) == [item * 2 for item in range(20)]
    assert (most, running) == (3, 0)


async def test_after_a_failure_no_other_begins() -> None:
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        if item == 1:
            raise ValueError(item)

    with pytest.raises(ValueError, match="1"):
        await each(work, range(10), 2)
    assert begun == [0, 1, 2] or begun == [0, 1]
