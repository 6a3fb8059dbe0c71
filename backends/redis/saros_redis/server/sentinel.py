"""Following the master that Sentinel names.

A client asks Sentinel only when it connects. A master that was replaced while it worked is not told so for about
ten seconds, takes writes meanwhile, and loses them all. So connections to it are given up as soon as that is known.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any

import redis

from saros.model.background import Job

log = logging.getLogger("saros.redis")

LOOK_S = 1.0


class Follower:
    """:param commands: the redis-py client whose Sentinel is asked."""

    def __init__(self, commands: Any, name: str) -> None:
        self._pool = commands.connection_pool
        self._name = name
        self._clients: weakref.WeakSet[Any] = weakref.WeakSet([commands])
        self._job: Job[None] | None = None

    def add(self, client: Any) -> None:
        """Have a client follow, too; one of a thread as well."""
        self._clients.add(client)

    def start(self) -> None:
        if self._job is None:
            self._job = Job(self._run(), "the follower of Sentinel")

    async def _run(self) -> None:
        known: object = self._pool.master_address
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                found: object = await self._pool.sentinel_manager.discover_master(self._name)
            except (redis.RedisError, OSError) as exc:  # as while it fails over
                log.debug("Sentinel: %s", exc)
                continue
            if found != known and known is not None:
                log.warning("%s is now the master of %s", found, self._name)
                for client in list(self._clients):
                    await _disconnect(client)
            known = found

    async def close(self) -> None:
        if self._job is not None:
            await self._job.end()


async def _disconnect(client: Any) -> None:
    """End the connections of a client, also those that are waiting for a reply. It connects again when used."""
    done = client.connection_pool.disconnect()
    if done is not None:
        await done
