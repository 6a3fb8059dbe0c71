"""Prefetch: tasks that this process has leased and not yet passed to its workers."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from saros.interfaces.activities import ActivityLease
from saros.interfaces.history import WorkflowTask
from saros.interfaces.signals import Outgoing

from ..keys import ACTIVITIES, OUT, OWN, RUNS, Keys

T = TypeVar("T")

BATCH: Final = 64
"""How many workflow tasks, or outbox entries, a process leases ahead."""


class Buffer(Generic[T]):
    """Filled by replies and readers, emptied by one worker's `take`.

    :param ahead: how many items may wait while the worker is busy.
    """

    def __init__(self, ahead: int) -> None:
        self._items: deque[T] = deque()
        self._ahead = ahead
        self._waiting = 0  # the limit of the waiting `take`
        self._filled = asyncio.Event()
        self.hungry = asyncio.Event()  # a `take` waits and the buffer is empty
        self.serving = False  # whether a worker takes from the buffer

    def __len__(self) -> int:
        return len(self._items)

    def room(self) -> int:
        """Return how many more items fit."""
        if not self.serving:
            return 0
        return max(0, max(self._ahead, self._waiting) - len(self._items))

    def put(self, items: Iterable[T]) -> None:
        self._items.extend(items)
        if self._items:
            self.hungry.clear()
            self._filled.set()

    async def take(self, limit: int) -> list[T]:
        """Return up to `limit` items; wait until there is at least one."""
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
        """Accept nothing more; the remaining items stay leased until they are given back."""
        self.serving = False
        self.hungry.clear()
        self._items.clear()


class Prefetch:
    """The buffers of a process, and the streams that fill them.

    :ivar consumer: the name of this process in the consumer groups, fresh for each start.
    :ivar queues: task queues whose workflows this process takes.
    :ivar activities: a buffer for each activity worker, by the task queues that it serves.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.consumer = secrets.token_hex(8)
        self.queues: tuple[str, ...] = ()
        self.tasks: Buffer[WorkflowTask] = Buffer(BATCH)
        self.activities: dict[tuple[str, ...], Buffer[ActivityLease]] = {}
        self.out: Buffer[Outgoing] = Buffer(BATCH)

    def buffer_of(self, kind: str, queues: tuple[str, ...] = ()) -> Buffer[Any]:
        """Return the buffer of a kind; for activities, the buffer of the worker with these queues."""
        if kind == ACTIVITIES:
            return self.activities_of(queues)
        return self.tasks if kind == RUNS else self.out

    def activities_of(self, queues: Sequence[str]) -> Buffer[ActivityLease]:
        """Return the buffer of a worker. Each has its own, or a busy one would keep tasks that another could run."""
        return self.activities.setdefault(tuple(queues), Buffer(0))

    def put_activity(self, lease: ActivityLease) -> None:
        """Pass an activity to the worker of its task queue with the most room."""
        found = [buffer for queues, buffer in self.activities.items() if lease.task.task_queue in queues]
        max(found, key=lambda buffer: buffer.room()).put([lease])

    def streams(self, partition: int) -> list[tuple[str, str, str]]:
        """Return kind, queue and name of each stream of a partition that this process reads."""
        keys = self._keys
        activity_queues = dict.fromkeys(queue for queues in self.activities for queue in queues)
        found = [(RUNS, queue, keys.ready(partition, queue)) for queue in self.queues]
        found += [(ACTIVITIES, queue, keys.activities(partition, queue)) for queue in activity_queues]
        found += [(OWN, queue, keys.own(partition, queue)) for queue in self.queues]
        return [*found, (OUT, "", keys.out(partition))]

    def stream_names(self, partition: int) -> list[str]:
        """Return the names of `streams`."""
        return [stream for _kind, _queue, stream in self.streams(partition)]
