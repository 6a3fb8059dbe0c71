"""Registered names, as executions that never run: the server ensures that a name is unique.

Each is an execution with the id ``saros-name:<name>`` whose start is delayed for years, so that no worker ever
gets it; its memo has the pid. The name of a workflow that has ended is free for whoever finds that out, and so
is that of a process which has ended on the same node, or whose node has died (see `saros_temporal.nodes`).
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

import msgspec

from saros.model.errors import ALREADY_EXISTS, NOT_FOUND, Error
from saros.model.execution import RUNNING, Pid, StartRequest, new_id
from saros.model.raw import Raw
from saros.model.records import StartOptions, pack

from ..wire.operations import NAME_TYPE
from .node_client import NodeClient
from .presence import NodeBackend

log = logging.getLogger("saros.temporal")

_PREFIX: Final = "saros-name:"
_YEARS_MS: Final = 10 * 365 * 86_400_000


class NameBackend(NodeBackend, Protocol):
    """The part of the backend that the name registry uses."""

    async def runs(self, pid: Pid) -> bool:
        """Whether a workflow is running."""
        ...


class NameRegistry:
    """The names of one namespace."""

    def __init__(self, backend: NameBackend, nodes: NodeClient) -> None:
        self._backend = backend
        self._nodes = nodes
        self._own: dict[str, str] = {}  # of this node's processes

    async def register(self, name: str, pid: str) -> bool:
        """Register a name; return False when another pid has it.

        :raises Error: NOT_FOUND when the pid is a process of a dead node.
        """
        found = Pid.parse(pid)
        if found is not None and not found.is_workflow:
            if not await self._nodes.ensure(found.place):
                raise Error(f"process {pid} not found", NOT_FOUND, retryable=False)
            if self._nodes.is_own(found):
                self._own[name] = pid
        if not await self._take(name, pid):
            self._own.pop(name, None)
            return False
        return True

    async def renew(self) -> None:
        """Register the names of this node's processes again: others may have taken the node for dead."""
        for name, pid in list(self._own.items()):
            if not await self._take(name, pid):
                log.warning("%s has lost its name %s: this node was unreachable for too long", pid, name)

    async def _take(self, name: str, pid: str) -> bool:
        options = StartOptions(
            memo=Raw(pack({"pid": pid})), start_delay=_YEARS_MS, execution_error_when_already_started=True
        )
        request = StartRequest(
            _PREFIX + name, NAME_TYPE, NAME_TYPE, "", NAME_TYPE, options=options, request_id=new_id()
        )
        for _ in range(2):
            try:
                await self._backend.namespace.start(request)
            except Error as error:
                if error.kind != ALREADY_EXISTS:
                    raise
            else:
                return True
            owner = await self.lookup(name)
            if owner is not None:
                return owner == pid
        return False

    async def lookup(self, name: str) -> str | None:
        """Return the pid that has a name."""
        try:
            found = await self._backend.namespace.describe(_PREFIX + name)
        except Error as error:
            if error.kind == NOT_FOUND:
                return None
            raise
        if found.status != RUNNING or "pid" not in found.memo:
            return None
        owner = msgspec.json.decode(found.memo["pid"], type=str)
        if await self._has_ended(owner):
            await self._free(name)
            return None
        return owner

    async def _has_ended(self, owner: str) -> bool:
        pid = Pid.parse(owner)
        if pid is None:
            return False
        if pid.is_workflow:
            return not await self._backend.runs(pid)
        host = self._backend.host
        if host is not None and pid.place == host.node:
            return host.get(owner) is None
        return not await self._nodes.presence.alive(pid.place)

    async def unregister(self, name: str, pid: str) -> bool:
        """Free a name (if a pid is given, only that pid's); return False when it was free."""
        self._own.pop(name, None)
        owner = await self.lookup(name)
        if owner is None or (pid and owner != pid):
            return False
        return await self._free(name)

    async def _free(self, name: str) -> bool:
        return await self._backend.namespace.messages.terminate(_PREFIX + name, "unregistered")
