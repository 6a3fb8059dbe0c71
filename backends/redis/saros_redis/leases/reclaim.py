"""Reclaim: takes over the leases of lost workers, and hands on those of this process whose replies were lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from .. import codec
from .prefetch import BATCH
from .worker import Worker

log = logging.getLogger("saros.redis")

ORPHAN_S: Final = 1.2
"""Longer than a reply is in transit (see scripts/leases/orphans.lua)."""
AGAIN_S: Final = 0.1
"""The next check after tasks were found: a lost worker may leave more than fit in one round."""


class Reclaim:
    def __init__(self, worker: Worker) -> None:
        self._options = worker.options
        self._client = worker.client
        self._partitions = worker.partitions
        self._prefetch = worker.prefetch
        self._intake = worker.intake
        self._leases = worker.leases
        self._suspects: set[str] = set()

    async def run(self) -> None:
        """Look for lost leases until cancelled."""
        client, partitions = self._client, self._partitions
        found = 0
        while True:
            pause = AGAIN_S if found else min(self._options.lease / 4, 1.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await client.lost.wait()
            if client.lost.is_set():
                client.lost.clear()  # leases lost from now on are younger, and left for the next round
                await asyncio.sleep(ORPHAN_S)
                await self._orphans()
            found = 0
            for partition in range(partitions.keys.partitions):
                for note in await partitions.run(
                    "notes", partition, []
                ):  # this answer ends an outage, during which leases stay valid
                    log.warning("Redis at %s: %s", self._options.url, codec.text(note))
                found += await self._reclaim(partition)

    async def _reclaim(self, partition: int) -> int:
        """Take over as many tasks as there is room for; return their number."""
        prefetch = self._prefetch
        activities = {queues: buffer.room() for queues, buffer in prefetch.activities.items()}
        serving = any(buffer.serving for buffer in prefetch.activities.values())
        if not (prefetch.tasks.serving or serving or prefetch.out.serving):
            return 0
        self._suspects = {proof for proof in self._suspects if self._leases.get(proof) is not None}
        wanted = self._intake.asking(prefetch.tasks.room(), activities, prefetch.out.room() or BATCH)
        before = set(self._leases.snapshot())
        # An outage of the server does not count as silence of the workers.
        lease = int((self._options.lease + self._client.forgiven(self._options.lease / 2)) * 1000)
        got, suspects, requeued = await self._partitions.run(
            "reclaim", partition, [wanted, lease, bool(self._suspects), prefetch.queues]
        )
        count = await self._intake.absorb(partition, got) + int(requeued)
        if count:
            log.warning("took over %d tasks of lost workers", count)
        if int(suspects):
            self._suspects = set(self._leases.snapshot()) - before
        return count

    async def _orphans(self) -> None:
        """Hand over leases whose replies were lost: the server assumes that we hold them."""
        prefetch = self._prefetch
        held: dict[tuple[int, str], list[str]] = {}
        for place in self._leases.snapshot().values():
            held.setdefault((place.partition, place.stream), []).append(place.entry)
        for partition in range(self._partitions.keys.partitions):
            streams = [(*each, held.get((partition, each[2]), [])) for each in prefetch.streams(partition)]
            await self._partitions.run("orphans", partition, [prefetch.consumer, streams])
