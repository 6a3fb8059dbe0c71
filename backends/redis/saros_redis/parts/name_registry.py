"""Registered names. A name is valid while its pid is alive.

A workflow is alive while it runs. A process is alive while the store of its node keeps refreshing the name. The event
loop does that, and code may block it, so names live longer while the node's lease, which a thread renews, is valid.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from saros.model.background import Job
from saros.model.errors import Error
from saros.model.execution import Pid

from .. import codec
from ..server.partitions import Partitions

log = logging.getLogger("saros.redis")

GONE = 1.5
"""A process counts as ended when its name was not refreshed for this many leases,"""
BUSY_S = 60.0
"""or for this many seconds while the lease of its node is valid."""


class NameRegistry:
    """:param lease: seconds.
    :param forgiven: returns for how many seconds no lease could be renewed (see `Client.forgiven`).
    """

    def __init__(self, partitions: Partitions, lease: float, forgiven: Callable[[float], float]) -> None:
        self._partitions = partitions
        self._lease = lease
        self._forgiven = forgiven
        self._mine: dict[str, str] = {}  # names of this process's processes
        self._cursors: dict[int, int] = {}
        self._leaving: set[tuple[str, str]] = set()  # (name, pid): no longer valid, and not yet freed
        self._order = (
            asyncio.Lock()
        )  # a process that ends at once must not free its name before it has registered it
        self._refreshing: Job[None] | None = None

    async def _name(self, verb: str, name: str, pid: str = "", old: str = "") -> str:
        partition = self._partitions.keys.partition(name)
        owner: bytes = await self._partitions.run("name", partition, [verb, name, pid, old])
        return codec.text(owner)

    async def register(self, name: str, pid: str) -> bool:
        async with self._order:
            return await self._register(name, pid)

    async def _register(self, name: str, pid: str) -> bool:
        if pid.startswith("@"):
            await self._refresh(name, pid)
        owner = await self._name("register", name, pid)
        if owner != pid and not await self._alive(name, owner):
            owner = await self._name("register", name, pid, owner)
        if owner == pid and pid.startswith("@"):
            self._mine[name] = pid
            if self._refreshing is None:
                self._refreshing = Job(self._keep(), "the refreshing of names")
        return owner == pid

    async def lookup(self, name: str) -> str | None:
        owner = await self._name("lookup", name)
        if not owner or (name, owner) in self._leaving:
            return None
        if await self._alive(name, owner):
            return owner
        await self._name("unregister", name, owner)
        return None

    async def unregister(self, name: str, pid: str) -> bool:
        self._leaving.add((name, pid))
        try:
            async with self._order:
                return await self._unregister(name, pid)
        finally:
            self._leaving.discard((name, pid))

    async def _unregister(self, name: str, pid: str) -> bool:
        self._mine.pop(name, None)
        owner = await self._name("lookup", name)
        if not owner or (pid and owner != pid):
            return False
        alive = await self._alive(name, owner)
        return bool(await self._name("unregister", name, owner)) and alive

    async def _alive(self, name: str, owner: str) -> bool:
        keys = self._partitions.keys
        pid = Pid.parse(owner)
        if pid is None:
            return False
        if pid.is_workflow:
            return bool(await self._partitions.run("read", keys.partition(pid.id), ["running", pid.id]))
        if await self._heard(name, owner, self._gone()):
            return True
        return await self._heard(name, owner, int(BUSY_S * 1e6)) and await self._good(pid.place)

    async def _heard(self, name: str, owner: str, micros: int) -> bool:
        """Return whether a process has refreshed its name within that time."""
        args = ["heard", f"{name}\n{owner}", micros]
        return bool(await self._partitions.run("read", self._partitions.keys.partition(name), args))

    async def _good(self, node: str) -> bool:
        """Return whether the lease of a node is valid."""
        return bool(
            await self._partitions.run("node", self._partitions.keys.partition(node), ["lives", node, ""])
        )

    def _gone(self) -> int:
        """Return the silence, in microseconds, after which a process counts as ended.

        An outage of the server is added, because no process could refresh a name during it.
        """
        return int((GONE * self._lease + self._forgiven(self._lease / 2)) * 1e6)

    async def sweep(self) -> None:
        """Free the names of ended pids, in one page of each partition's table."""
        for partition, tag in enumerate(self._partitions.keys.tags):
            cursor = self._cursors.get(partition, 0)
            key = f"{tag}:names"
            following, fields = await self._partitions.read(
                partition, "hash", "HSCAN", key, cursor, "COUNT", 100
            )
            self._cursors[partition] = int(following)
            for field, value in fields.items():
                name, owner = codec.text(field), codec.text(value)
                if not await self._alive(name, owner):
                    await self._name("unregister", name, owner)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                for name, pid in list(self._mine.items()):
                    async with self._order:
                        if self._mine.get(name) == pid:
                            await self._refresh(name, pid)
            except Error as error:
                log.warning("names could not be refreshed: %s", error)

    async def _refresh(self, name: str, pid: str) -> None:
        await self._partitions.run(
            "refresh", self._partitions.keys.partition(name), [name, pid, int(BUSY_S * 1e6)]
        )

    async def close(self) -> None:
        if self._refreshing is not None:
            await self._refreshing.end()
