"""Readers: fetch tasks for waiting workers, and block on the server while there are none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any, Final

import anyio
import redis

from saros.model.background import LIMIT_S, Job, end_all
from saros.model.errors import Error

from .. import errors
from ..keys import ACTIVITIES, OUT, RUNS
from ..server.client import BLOCK_MS, BUSY, LOST, TIMEOUT_S
from .leases import Renewer
from .worker import Worker

log = logging.getLogger("saros.redis")

PAUSE_S: Final = 0.1
PAUSE_MAX_S: Final = 1.0
QUIET_S: Final = 1.0
"""How long a stopping process waits for replies to earlier commands."""
ROUNDS: Final = 5


class Reader:
    """Fills one buffer of a process whenever its worker waits.

    :param numbers: the partitions that one blocking read covers; in a cluster a reader has a single one.
    :param queues: of the worker that takes from the buffer, if it is one of activities.
    """

    def __init__(
        self, worker: Worker, kind: str, numbers: Sequence[int], queues: tuple[str, ...] = ()
    ) -> None:
        self._options = worker.options
        self._client = worker.client
        self._partitions = worker.partitions
        self._prefetch = worker.prefetch
        self._intake = worker.intake
        self._kind = kind
        self._numbers = numbers
        self._queues = queues
        self._buffer = self._prefetch.buffer_of(kind, queues)
        self._connection = self._client.reader()

    async def run(self) -> None:
        """Read until cancelled. While the server is unavailable, retry with pauses."""
        pause = PAUSE_S
        while True:
            await self._buffer.hungry.wait()
            try:
                if not await self._fetch():
                    await self._block()
                pause = PAUSE_S
                continue
            except Error as error:
                log.warning("%s; trying again in %.1f s", error, pause)
            except (*LOST, *BUSY) as exc:
                self._client.lost.set()
                log.warning("%s; trying again in %.1f s", errors.unavailable(self._options, exc), pause)
            except redis.RedisError as exc:
                log.warning("%s; trying again in %.1f s", errors.answered(self._options, exc), pause)
            except Exception:  # if the reader ended, its worker would wait forever
                log.exception("a reply of Redis could not be processed; trying again in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)

    async def _fetch(self) -> int:
        """Take the available tasks; return their number."""
        found = 0
        for partition in self._numbers:
            wanted = self._wanted()
            if wanted is None:
                break
            reply = await self._partitions.run("take_wanted", partition, [wanted])
            found += await self._intake.absorb(partition, reply)
        return found

    def _wanted(self) -> list[Any] | None:
        kind = self._kind
        activities = [self._queues] if kind == ACTIVITIES else []
        return self._intake.wanted(tasks=kind == RUNS, activities=activities, out=kind == OUT)

    def _streams(self) -> dict[str, int]:
        return {
            stream: partition
            for partition in self._numbers
            for kind, queue, stream in self._prefetch.streams(partition)
            if kind == self._kind and (kind != ACTIVITIES or queue in self._queues)
        }

    async def _block(self) -> None:
        """Wait for one new entry of a stream, and lease it."""
        streams = self._streams()
        command = ["XREADGROUP", "GROUP", "saros", self._prefetch.consumer, "COUNT", 1, "BLOCK", BLOCK_MS]
        try:
            with anyio.fail_after(BLOCK_MS / 1000 + TIMEOUT_S):  # a dead peer does not answer at all
                reply = await self._connection.execute_command(
                    *command, "STREAMS", *streams, *(">" for _ in streams)
                )
        except redis.ResponseError as exc:
            if "NOGROUP" in str(exc) or "UNBLOCKED" in str(exc):
                return  # the next fetch makes the group (again)
            raise
        for stream, entries in _pairs(reply):
            name = stream.decode()
            ids = [entry[0].decode() for entry in entries]
            wanted = self._wanted() or self._intake.asking()
            await self._lease(streams[name], name, ids, wanted)

    async def _lease(self, partition: int, stream: str, entries: list[str], wanted: list[Any]) -> None:
        reply = await self._partitions.run("lease", partition, [self._kind, stream, entries, wanted])
        await self._intake.absorb(partition, reply)


class Readers:
    """The readers of a process that works, and the thread that renews its leases."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._jobs: dict[tuple[str, tuple[str, ...]], list[Job[None]]] = {}
        self._renewer: Renewer | None = None

    def start(self, kind: str, queues: tuple[str, ...] = ()) -> None:
        """Start filling the buffer of a kind (for activities, of these queues), unless that has been done."""
        if (kind, queues) in self._jobs:
            return
        worker = self._worker
        if self._renewer is None:
            tags, consumer = worker.partitions.keys.tags, worker.prefetch.consumer
            self._renewer = Renewer(worker.leases, worker.client.threaded(), tags, consumer, worker.options)
            self._renewer.start()
        everything = list(range(worker.partitions.keys.partitions))
        shares = [[partition] for partition in everything] if worker.options.cluster else [everything]
        readers = [Reader(worker, kind, numbers, queues) for numbers in shares]
        self._jobs[kind, queues] = [Job(reader.run(), f"the reader of {kind}") for reader in readers]

    async def leave(self, kind: str, queues: tuple[str, ...] = ()) -> None:
        """Stop taking tasks of a kind (for activities, of these queues)."""
        self._worker.prefetch.buffer_of(kind, queues).stop()
        await end_all(self._jobs.pop((kind, queues), []), LIMIT_S, at_once=True)

    async def stop(self) -> None:
        """Stop taking tasks, and hand those still leased to other workers, so they need not wait for the lease."""
        worker = self._worker
        renewer, self._renewer = self._renewer, None
        try:
            await self.leave(RUNS)
            for queues in list(worker.prefetch.activities):
                await self.leave(ACTIVITIES, queues)
            await self.leave(OUT)
        finally:
            if renewer is not None:
                await renewer.stop()
        if renewer is None:
            return
        # Tasks that come with a reply now would be leased, but lost.
        await worker.client.quiet(QUIET_S)
        with contextlib.suppress(Error):  # if the server is unavailable, the leases expire
            for partition in range(worker.partitions.keys.partitions):
                await self._give_back(partition)
        worker.leases.clear()

    async def _give_back(self, partition: int) -> None:
        """Hand over until nothing is left: the server may still give tasks to a read that it believes is waiting."""
        prefetch = self._worker.prefetch
        args = [prefetch.consumer, prefetch.streams(partition)]
        for _ in range(ROUNDS):
            if not int(await self._worker.partitions.run("give_back", partition, args, 1.0)):
                return


def _pairs(reply: Any) -> list[tuple[bytes, Any]]:
    if not reply:
        return []
    if isinstance(reply, dict):
        return list(reply.items())
    return [(stream, entries) for stream, entries in reply]
