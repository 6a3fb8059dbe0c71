"""Requests of one node to another.

Each node polls its own task queue. A request to another node is a small workflow on that queue, whose one local
activity is carried out there: it is kept by the server until the node takes it, is answered once, and given up when
nobody takes it within `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any, Final

import msgspec
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from saros.interfaces.host import Host
from saros.model import values
from saros.model.errors import NOT_FOUND, UNAVAILABLE, Error, ErrorData
from saros.model.execution import Pid, new_id
from saros.model.raw import Raw
from saros.model.records import MESSAGE, Ask, Message, Outcome, Send, pack, unpack
from saros.model.values import Json

from ..client.errors import rpc_error
from ..wire.failures import outcome_of, settled
from ..wire.operations import ASK, END, PRESENT, SEND, End, Request, node_queue
from ..wire.payloads import to_payload
from .presence import PATIENCE_S, NodeBackend, NodeWorkflow, Presence, own_host

log = logging.getLogger("saros.temporal")

_DIED: Final = pack(Outcome(err=ErrorData("its node died", UNAVAILABLE)))


class NodeClient:
    """Requests to other nodes, and watches of their actors."""

    def __init__(self, backend: NodeBackend, lease: object = None) -> None:
        self._backend = backend
        self.presence = Presence(backend, lease)
        self._watched: dict[str, set[tuple[str, str, bool]]] = {}  # node -> (pid, watcher, link)

    @property
    def _host(self) -> Host:
        return own_host(self._backend)

    def is_own(self, pid: Pid) -> bool:
        host = self._backend.host
        return host is not None and pid.place == host.node

    async def ensure(self, node: str) -> bool:
        """Make another node present; return False when it is dead."""
        if await self.presence.alive(node):
            return True
        if node != self._host.node:
            return await self._request(node, PRESENT, b"null", "")
        await self.presence.be_present()
        return True

    # --- requests -----------------------------------------------------------------------------

    async def send(self, pid: Pid, op: str, body: Json, key: str) -> bool:
        """Deliver a message to a process of another node; return False when the process or its node has ended."""
        if op != MESSAGE or self.is_own(pid):
            return False
        message = unpack(body, Message)
        send = Send(str(pid), message.topic, message.payloads)
        return await self._request(pid.place, SEND, pack(Request(message.sender, key, send=send)), key)

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str) -> bool:
        """Monitor, link, cancel or terminate a process of another node; return False when it has ended."""
        if self.is_own(pid):
            return False
        watching = ask.verb in ("monitor", "link")
        own = self._host.get(asker) if watching else None
        ask = msgspec.structs.replace(ask, to=str(pid))
        if not await self._request(pid.place, ASK, pack(Request(asker, key, ask=ask)), key):
            return False
        if own is not None:
            self._watch(pid, asker, ask.verb == "link")
            if ask.verb == "link":
                own.links.add(str(pid))
        elif ask.verb in ("unmonitor", "unlink"):
            self.forget(str(pid), asker, ask.verb == "unlink")
        return True

    async def ended(self, watcher: Pid, ended: str, outcome: Json, link: bool) -> None:
        """Notify an actor of another node that one of ours has ended."""
        end = End(str(watcher), ended, Raw(outcome), link)
        key = f"{ended}:{'link' if link else 'exit'}:{watcher}"
        await self._request(watcher.place, END, msgspec.json.encode(end), key)

    async def _request(self, node: str, name: str, body: Json, key: str) -> bool:
        """Return whether the node has carried out a request.

        :raises Error: the error of the request there, unless the process was not found.
        """
        outcome = await self._outcome(node, name, body, key or new_id())
        if outcome is None:
            return False
        error = msgspec.json.decode(outcome, type=Outcome).err
        if error is None:
            return True
        if error.kind == NOT_FOUND:
            return False
        raise values.to_error(error)

    async def _outcome(self, node: str, name: str, body: Json, key: str) -> Json | None:
        """Return a node's answer, or None when there is none."""
        client, id = self._backend.namespace.client, f"saros-request:{key}"
        try:
            try:
                handle: WorkflowHandle[Any, RawValue] = await client.start_workflow(
                    NodeWorkflow.run,
                    args=[name, RawValue(to_payload(body)), 0.0],
                    id=id,
                    task_queue=node_queue(node),
                    execution_timeout=timedelta(seconds=PATIENCE_S),
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                )
            except WorkflowAlreadyStartedError:
                handle = client.get_workflow_handle(id, result_type=RawValue)
            return settled(await handle.result())
        except WorkflowFailureError as failure:
            return None if isinstance(failure.cause, TimedOut) else outcome_of(failure.cause)
        except RPCError as error:
            raise rpc_error(error, self._backend.namespace.target, f"node {node}") from error

    # --- watches ------------------------------------------------------------------------------

    def _watch(self, pid: Pid, watcher: str, link: bool) -> None:
        """Notify an actor of ours when the node of its target has died."""
        node = pid.place
        watches = self._watched.get(node)
        if watches is None:
            watches = self._watched[node] = set()
            self._backend.jobs.start(self._guard(node), f"the watch of the node {node}")
        watches.add((str(pid), watcher, link))

    def forget(self, pid: str, watcher: str, link: bool) -> None:
        """End a watch."""
        self._watched.get(pid.partition("|")[0], set()).discard((pid, watcher, link))

    async def _guard(self, node: str) -> None:
        while self._watched[node]:
            await asyncio.sleep(self.presence.lease_s / 2)
            try:
                if await self.presence.alive(node):
                    continue
            except Error as error:
                log.info("cannot check whether the node %s is alive: %s", node, error)
                continue
            log.warning("node %s has died; notifying %d watchers", node, len(self._watched[node]))
            for pid, watcher, link in sorted(self._watched[node]):
                actor = self._host.get(watcher)
                if actor is not None:
                    actor.watched_end(pid, _DIED, link)
            break
        del self._watched[node]
