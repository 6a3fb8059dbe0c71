"""What a process has leased and not yet handed to its worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Buffer(Generic[T]):
    """Filled by replies and readers, emptied by one worker's `take`.

    :param ahead: how many items may wait while the worker is busy.
    """

    def __init__(self, ahead: int) -> None:
        self._items: deque[T] = deque()
        self._ahead = ahead
        self._waiting = 0  # the limit of the take that waits
        self._filled = asyncio.Event()
        self.hungry = asyncio.Event()  # a take waits, and there is nothing
        self.serving = False  # somebody takes at all

    def __len__(self) -> int:
        return len(self._items)

    def room(self) -> int:
        """How many more items are welcome."""
        if not self.serving:
            return 0
        return max(0, max(self._ahead, self._waiting) - len(self._items))

    def put(self, items: Iterable[T]) -> None:
        self._items.extend(items)
        if self._items:
            self.hungry.clear()
            self._filled.set()

    async def take(self, limit: int) -> list[T]:
        """Up to `limit` items; waits until there is one."""
        self.serving = True
        self._waiting = limit
        try:
            while not self._items:
                self._filled.clear()
                self.hungry.set()
                await self._filled.wait()
        finally:
            self._waiting = 0
            self.hungry.clear()
        return [self._items.popleft() for _ in range(min(limit, len(self._items)))]

    def clear(self) -> None:
        self._items.clear()

    def stop(self) -> None:
        """Want nothing more; what waits stays leased until it is given back."""
        self.serving = False
        self.hungry.clear()
        self._items.clear()
