"""Readers: fetch what a waiting worker wants, and block on the server while there is nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import anyio
import redis

from saros.model.errors import Error

from . import problems
from .buffer import Buffer
from .client import BLOCK_MS, BUSY, LOST, TIMEOUT_S
from .core import ACTIVITIES, OUT, RUNS, Core

log = logging.getLogger("saros.redis")

PAUSE_S = 0.1
PAUSE_MAX_S = 1.0


class Reader:
    """Fills one buffer of the core whenever its taker waits.

    :param partitions: those that one blocking read covers; in a cluster a reader has a single one.
    :param queues: of the worker that takes from the buffer, if it is one of activities.
    """

    def __init__(
        self, core: Core, kind: str, partitions: Sequence[int], queues: tuple[str, ...] = ()
    ) -> None:
        self._core = core
        self._kind = kind
        self._partitions = partitions
        self._queues = queues
        self._buffer = buffer_of(core, kind, queues)
        self._client = core.client.reader()

    async def run(self) -> None:
        """Read until cancelled. While the server is away, try again with pauses."""
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
                self._core.client.lost.set()
                log.warning(
                    "%s; trying again in %.1f s", problems.unavailable(self._core.options, exc), pause
                )
            except redis.RedisError as exc:
                log.warning("%s; trying again in %.1f s", problems.answered(self._core.options, exc), pause)
            except Exception:  # a reader that ended would leave a worker that waits for ever
                log.exception("what Redis gave could not be taken; trying again in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX_S)

    async def _fetch(self) -> int:
        """Take what is there; gives how much."""
        found = 0
        for partition in self._partitions:
            wanted = self._wanted()
            if wanted is None:
                break
            reply = await self._core.run("take_wanted", partition, [wanted])
            found += await self._core.absorb(partition, reply)
        return found

    def _wanted(self) -> list[Any] | None:
        kind = self._kind
        activities = [self._queues] if kind == ACTIVITIES else []
        return self._core.wanted(tasks=kind == RUNS, activities=activities, out=kind == OUT)

    def _streams(self) -> dict[str, int]:
        return {
            stream: partition
            for partition in self._partitions
            for kind, queue, stream in self._core.streams(partition)
            if kind == self._kind and (kind != ACTIVITIES or queue in self._queues)
        }

    async def _block(self) -> None:
        """Wait for one new entry of a stream, and lease it."""
        streams = self._streams()
        command = ["XREADGROUP", "GROUP", "saros", self._core.consumer, "COUNT", 1, "BLOCK", BLOCK_MS]
        try:
            with anyio.fail_after(BLOCK_MS / 1000 + TIMEOUT_S):  # a dead peer does not answer at all
                reply = await self._client.execute_command(
                    *command, "STREAMS", *streams, *(">" for _ in streams)
                )
        except redis.ResponseError as exc:
            if "NOGROUP" in str(exc) or "UNBLOCKED" in str(exc):
                return  # the next fetch makes the group (again)
            raise
        for stream, entries in _pairs(reply):
            name = stream.decode()
            ids = [entry[0].decode() for entry in entries]
            wanted = self._wanted() or self._core.asking()
            await self._lease(streams[name], name, ids, wanted)

    async def _lease(self, partition: int, stream: str, entries: list[str], wanted: list[Any]) -> None:
        reply = await self._core.run("lease", partition, [self._kind, stream, entries, wanted])
        await self._core.absorb(partition, reply)


def _pairs(reply: Any) -> list[tuple[bytes, Any]]:
    if not reply:
        return []
    if isinstance(reply, dict):
        return list(reply.items())
    return [(stream, entries) for stream, entries in reply]


def buffer_of(core: Core, kind: str, queues: tuple[str, ...] = ()) -> Buffer[Any]:
    if kind == ACTIVITIES:
        return core.activities_of(queues)
    return core.tasks if kind == RUNS else core.out
