"""Named queues; one reader may wait for several."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from saros.interfaces.signals import Outgoing

T = TypeVar("T")


class Queues(Generic[T]):
    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = defaultdict(deque)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    def put(self, name: str, item: T) -> None:
        self._queues[name].append(item)
        self._wake(name)

    def put_back(self, name: str, items: Sequence[T]) -> None:
        """Put items before all others."""
        self._queues[name].extendleft(reversed(items))
        for _ in items:
            self._wake(name)

    def _wake(self, name: str) -> None:
        waiting = self._waiting.get(name)
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def take(self, names: Sequence[str], limit: int) -> list[T]:
        """Return up to `limit` items of these queues; block until there is one."""
        while True:
            items: list[T] = []
            for name in names:
                queue = self._queues[name]
                while queue and len(items) < limit:
                    items.append(queue.popleft())
            if items:
                return items
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            for name in names:
                self._waiting[name].append(future)
            try:
                await future
            except asyncio.CancelledError:
                if not future.cancelled():  # woken too late: wake the next reader instead
                    for name in names:
                        if self._queues[name]:
                            self._wake(name)
                raise
            finally:
                for name in names:
                    if future in self._waiting[name]:
                        self._waiting[name].remove(future)


class Outbox:
    """A queue that hands out one entry of each lane at a time."""

    def __init__(self) -> None:
        self._ready: Queues[Outgoing] = Queues()
        self._lanes: dict[str, deque[Outgoing]] = {}  # lanes with an entry under way -> the entries behind it

    def put(self, entry: Outgoing) -> None:
        behind = self._lanes.get(entry.lane)
        if behind is not None:
            behind.append(entry)
            return
        if entry.lane:
            self._lanes[entry.lane] = deque()
        self._ready.put("", entry)

    async def take(self, limit: int) -> list[Outgoing]:
        return await self._ready.take(("",), limit)

    def give_back(self, entries: Sequence[Outgoing]) -> None:
        self._ready.put_back("", entries)

    def delivered(self, entry: Outgoing) -> None:
        behind = self._lanes.get(entry.lane)
        if behind:
            self._ready.put("", behind.popleft())
        else:
            self._lanes.pop(entry.lane, None)
