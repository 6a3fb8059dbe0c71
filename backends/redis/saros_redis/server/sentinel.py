"""Following the master that Sentinel names.

A client asks Sentinel only when it connects. A replaced master does not learn of that for about
ten seconds, accepts writes in that time, and loses all of them. So clients drop their connections at once.
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
        """Make another client follow the master, such as the blocking client of a thread."""
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
    """Close the connections of a client, even those that wait for a reply. It reconnects when it is used."""
    done = client.connection_pool.disconnect()
    if done is not None:
        await done
