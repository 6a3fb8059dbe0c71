"""Nodes: which of them are alive, and the mail between them.

A node is alive while a thread of its process renews its lease, even if its event loop is busy. The lease ends by the
server's clock. Reading mail removes it, so a lost reply loses the mail, and the sender sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import msgspec
import redis

from saros.interfaces.nodes import LostNode, NodeMail
from saros.interfaces.store import check_size
from saros.model.errors import Error
from saros.model.execution import Watcher
from saros.model.records import pack

from .. import codec, errors
from ..codec import BROKEN
from ..leases.leases import RenewalThread
from ..leases.prefetch import BATCH
from ..options import Options
from ..server.client import BLOCK_MS, BUSY, LOST, Client
from ..server.partitions import Partitions

log = logging.getLogger("saros.redis")

LOOK_S = 2.0
"""The shortest interval between two checks for dead nodes."""
_SENT, _SILENT = 1, 2
_read_mail = msgspec.json.Decoder(NodeMail).decode
_watcher = msgspec.json.Decoder(Watcher).decode


class NodeRegistry:
    def __init__(self, options: Options, client: Client, partitions: Partitions) -> None:
        self._options = options
        self._client = client
        self._partitions = partitions
        self._grace = options.lease / 2  # for nodes that were silent because the server was unavailable
        self._joined: dict[str, Pulse] = {}
        self._readers: dict[str, Any] = {}

    async def _run(self, verb: str, node: str, item: object = "", patience: float = 3.0) -> int:
        partition = self._partitions.keys.partition(node)
        return int(await self._partitions.run("node", partition, [verb, node, item], patience))

    async def join(self, node: str) -> None:
        lease = self._options.lease
        await self._run("join", node, int(lease * 1e6))
        self._readers[node] = self._client.reader()
        keys = self._partitions.keys
        tag = keys.tags[keys.partition(node)]
        self._joined[node] = Pulse(self._client.threaded(), tag, node, self._options)
        self._joined[node].start()

    async def send(self, node: str, mail: NodeMail) -> bool:
        check_size(bytes(mail.body), self._options.payload, f"a message to {mail.to}")
        until = time.monotonic() + self._grace
        while (found := await self._run("send", node, pack(mail).decode())) == _SILENT:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(self._grace / 4)
        return found == _SENT

    async def mail(self, node: str) -> list[NodeMail]:
        """:raises Error: UNAVAILABLE."""
        client, box = self._client, self._partitions.keys.box(node)
        while True:
            try:
                first = await self._readers[node].execute_command("BLPOP", box, BLOCK_MS // 1000)
            except (*LOST, *BUSY) as exc:
                raise errors.unavailable(self._options, exc) from exc
            except redis.ResponseError as exc:
                if errors.is_wrong_type(exc):
                    partition = self._partitions.keys.partition(node)
                    await self._partitions.run("mend", partition, [box, "list"])
                elif "UNBLOCKED" not in str(exc):
                    raise errors.answered(self._options, exc) from exc
                continue
            if first is not None:
                more = await client.command("LPOP", box, BATCH) or []
                mails = [mail for item in (first[1], *more) if (mail := _mail(item)) is not None]
                if mails:
                    return mails

    async def watch(self, verb: str, pid: str, watcher: Watcher) -> None:
        await self._run(verb, pid.partition("|")[0], f"{pid}\n{pack(watcher).decode()}")

    async def lost(self) -> list[LostNode]:
        silent: dict[str, float] = {}  # node -> since when its silence is known
        while True:
            found: list[LostNode] = []
            for partition in range(self._partitions.keys.partitions):
                for node, fields in await self._partitions.run("lost", partition, []):
                    watches = [watch for field in fields if (watch := _watch(field)) is not None]
                    found.append(LostNode(codec.text(node), watches))
            now = time.monotonic()
            silent = {lost.node: silent.get(lost.node, now) for lost in found}
            dead = [lost for lost in found if now - silent[lost.node] >= self._grace]
            if dead:
                return dead
            await asyncio.sleep(min(self._grace, LOOK_S))

    async def forget(self, node: str) -> None:
        await self._run("forget", node)

    async def close(self) -> None:
        joined, self._joined = self._joined, {}
        async with contextlib.AsyncExitStack() as stack:
            for node, pulse in joined.items():
                stack.push_async_callback(self._leave, node, pulse)

    async def _leave(self, node: str, pulse: Pulse) -> None:
        await pulse.stop()
        with contextlib.suppress(Error):  # if the server is unavailable, the lease expires
            await self._run("leave", node, patience=1.0)


def _mail(item: bytes) -> NodeMail | None:
    try:
        return _read_mail(item)
    except BROKEN as exc:
        log.warning("mail for this node cannot be read, and is dropped: %s", exc)
        return None


def _watch(field: bytes) -> tuple[str, Watcher] | None:
    try:
        pid, watcher = field.split(b"\n", 1)
        return pid.decode(), _watcher(watcher)
    except BROKEN as exc:
        log.warning("the watchers of a dead node cannot be read:  %s", exc)
        return None


class Pulse(RenewalThread):
    """Renews the lease of one node. For the parameters see `RenewalThread`."""

    def __init__(self, client: Any, tag: str, node: str, options: Options) -> None:
        super().__init__("saros-redis-node", f"the lease of {node}", client, options)
        self._tag = tag
        self._node = node
        self._lease = options.lease

    def renew(self) -> None:
        forgotten = self.evaluate("node", self._tag, ["join", self._node, int(self._lease * 1e6)])
        if int(forgotten):
            log.warning("%s was silent for too long, and other nodes consider it dead", self._node)
