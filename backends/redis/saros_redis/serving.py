"""What runs in a process that works: readers, and the thread that keeps leases."""

from __future__ import annotations

import asyncio
import contextlib

from saros.model.background import LIMIT_S, Job, end_all
from saros.model.errors import Error

from .core import ACTIVITIES, OUT, RUNS, Core
from .held import Renewer
from .readers import Reader, buffer_of

QUIET_S = 1.0
"""For replies to what was sent before the end."""
ROUNDS = 5


class Serving:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._readers: dict[tuple[str, tuple[str, ...]], list[Job[None]]] = {}
        self._renewer: Renewer | None = None

    def start(self, kind: str, queues: tuple[str, ...] = ()) -> None:
        """Begin to fill the buffer of a kind (of activities: for these queues), unless that is done already."""
        if (kind, queues) in self._readers:
            return
        core = self._core
        if self._renewer is None:
            lease = core.options.lease
            self._renewer = Renewer(core.held, core.client.threaded(), core.keys.tags, core.consumer, lease)
            self._renewer.start()
        everything = list(range(core.keys.partitions))
        parts = [[partition] for partition in everything] if core.options.cluster else [everything]
        readers = [Reader(core, kind, partitions, queues) for partitions in parts]
        self._readers[kind, queues] = [Job(reader.run(), f"the reader of {kind}") for reader in readers]

    async def leave(self, kind: str, queues: tuple[str, ...] = ()) -> None:
        """Take nothing more of a kind (of activities: for these queues)."""
        buffer_of(self._core, kind, queues).stop()
        await end_all(self._readers.pop((kind, queues), []), LIMIT_S, at_once=True)

    async def stop(self) -> None:
        """Take nothing more, and hand what is still leased to other workers, who then need not wait for it."""
        for kind, queues in (
            (RUNS, ()),
            *((ACTIVITIES, queues) for queues in list(self._core.activities)),
            (OUT, ()),
        ):
            await self.leave(kind, queues)
        renewer, self._renewer = self._renewer, None
        if renewer is None:
            return
        await asyncio.to_thread(renewer.stop)
        core = self._core
        await core.client.quiet(
            QUIET_S
        )  # what comes along with a reply now would be leased, and known to nobody
        with contextlib.suppress(Error):  # a server that is away has the leases end
            for partition in range(core.keys.partitions):
                await self._give_back(partition)
        core.held.clear()

    async def _give_back(self, partition: int) -> None:
        """Hand over until nothing is left: it may go to a read of ours that the server thinks still waits."""
        core = self._core
        args = [core.consumer, core.streams(partition)]
        for _ in range(ROUNDS):
            if not int(await core.run("give_back", partition, args, 1.0)):
                return
