"""What one node asks of another, and how it is known that a node has died.

A *node* is a process with actors (functions and processes). Each polls a task queue of its own. A request of another
node is a small workflow on that queue, whose one local activity is carried out there: it is kept by the server
until the node takes it, is answered once, and given up when nobody takes it within `PATIENCE_S`.

A node that others rely on (it has registered a name, or another node watches one of its processes) is *present*: an
execution ``saros-node:<node>`` with one activity, which the node keeps alive by heartbeats. When they stop, the
activity waits to be tried again, and that is how others see that the node has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from anyio import move_on_after
from temporalio import workflow
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.client import AsyncActivityHandle, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue, RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from saros.model import values
from saros.model.background import Job
from saros.model.errors import INVALID, NOT_FOUND, UNAVAILABLE, Error, ErrorData
from saros.model.execution import Pid, new_id
from saros.model.raw import Raw
from saros.model.records import MESSAGE, Ask, Message, Outcome, Send, pack, unpack
from saros.model.values import Json

from .client import seconds
from .failures import outcome_of, settled
from .payloads import to_payload
from .refusals import rpc_error
from .system import ASK, PREFIX, SEND, Request, node_queue

if TYPE_CHECKING:
    from saros.interfaces.host import Host

    from .backend import TemporalBackend

log = logging.getLogger("saros.temporal")

TYPE: Final = "saros.node"
"""The workflow type of requests and of presence."""
PRESENCE: Final = f"{PREFIX}presence"
PRESENT: Final = f"{PREFIX}present"
END: Final = f"{PREFIX}end"

PATIENCE_S: Final = 10.0
"""A request that a node has not carried out after this is given up."""
LEASE_S: Final = 15.0
"""A node that was not heard of for this long has died."""
FAREWELL_S: Final = 2.0

_DIED: Final = pack(Outcome(err=ErrorData("its node died", UNAVAILABLE)))
_ALIVE: Final = (
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
)


class End(msgspec.Struct, frozen=True):
    """An actor has ended, and `watcher` is an actor of the node that is told."""

    watcher: str
    ended: str
    outcome: Raw
    link: bool


@workflow.defn(name=TYPE, sandboxed=False)
class NodeWorkflow:
    """One request to a node, or its presence."""

    @workflow.run
    async def run(self, name: str, request: RawValue, lease_s: float) -> RawValue:
        found: RawValue
        if name == PRESENCE:
            found = await workflow.execute_activity(
                name,
                request,
                result_type=RawValue,
                start_to_close_timeout=timedelta(days=3650),
                heartbeat_timeout=timedelta(seconds=lease_s),
                retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1),
            )
        else:
            found = await workflow.execute_local_activity(
                name, request, result_type=RawValue, start_to_close_timeout=timedelta(seconds=PATIENCE_S)
            )
        return found


class Nodes:
    """This node, and the others."""

    def __init__(self, backend: TemporalBackend, lease: object = None) -> None:
        self._backend = backend
        self._lease_s = seconds(lease) or LEASE_S
        self._presence: Job[None] | None = None
        self._arrived = asyncio.Event()
        self._watched: dict[str, set[tuple[str, str, bool]]] = {}  # node -> (pid, watcher, link)

    @property
    def _host(self) -> Host:
        host = self._backend.host
        if host is None:
            raise Error(
                "this app was opened without workers, so nobody can reach its processes: they can neither have "
                "names nor watch those of other nodes",
                INVALID,
                retryable=False,
            )
        return host

    def is_own(self, pid: Pid) -> bool:
        host = self._backend.host
        return host is not None and pid.place == host.node

    async def close(self) -> None:
        """Take leave, so that names are free at once."""
        if self._presence is None:
            return
        self._presence.cancel()
        farewell = self._backend.connections.default.terminate(_id(self._host.node), "the node has ended")
        with contextlib.suppress(Error), move_on_after(FAREWELL_S, shield=True):  # the lease ends by itself
            await farewell

    # --- requests -----------------------------------------------------------------------------

    async def send(self, pid: Pid, op: str, body: Json, key: str) -> bool:
        """Deliver a message to a process of another node; False when it, or its node, has ended."""
        if op != MESSAGE or self.is_own(pid):
            return False
        message = unpack(body, Message)
        send = Send(str(pid), message.topic, message.payloads)
        return await self._request(pid.place, SEND, pack(Request(message.sender, key, send=send)), key)

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str) -> bool:
        """Monitor, link, cancel or terminate a process of another node; False when it runs no more."""
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
        """Tell an actor of another node that one of ours has ended."""
        end = End(str(watcher), ended, Raw(outcome), link)
        key = f"{ended}:{'link' if link else 'exit'}:{watcher}"
        await self._request(watcher.place, END, msgspec.json.encode(end), key)

    async def _request(self, node: str, name: str, body: Json, key: str) -> bool:
        """Whether the node has carried a request out.

        :raises Error: what it failed with there, unless the process was not found.
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
        """What a node answers; None when it does not."""
        client, id = self._backend.client, f"saros-request:{key}"
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
            raise rpc_error(error, self._backend.connections.default.target, f"node {node}") from error

    # --- presence -----------------------------------------------------------------------------

    async def ensure(self, node: str) -> bool:
        """Have a node be present; False when it is dead."""
        if await self.alive(node):
            return True
        if node != self._host.node:
            return await self._request(node, PRESENT, b"null", "")
        await self.be_present()
        return True

    async def be_present(self) -> None:
        """Have others know that this node lives."""
        if self._presence is None:
            await self._begin()
        await self._arrived.wait()

    async def _begin(self) -> None:
        """Start the presence, unless it runs."""
        await self._backend.client.start_workflow(
            NodeWorkflow.run,
            args=[PRESENCE, RawValue(to_payload(b"null")), self._lease_s],
            id=_id(self._host.node),
            task_queue=node_queue(self._host.node),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    def arrived(self, handle: AsyncActivityHandle) -> bool:
        """The presence of this node has begun (again, if True): keep it."""
        again = self._presence is not None
        if self._presence is not None:
            self._presence.cancel()
        self._presence = self._backend.jobs.start(self._beat(handle), "the presence of this node")
        self._arrived.set()
        return again

    async def _beat(self, handle: AsyncActivityHandle) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                await handle.heartbeat()
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    log.info("the heartbeat of this node did not arrive: %s", error)
                    continue
                break  # too late: the server gives the activity to this node again
        try:
            await self._begin()  # or somebody has ended the execution
        except RPCError as error:
            log.warning("others take this node for dead: %s", error)

    async def alive(self, node: str) -> bool:
        """Whether a node that was present still is."""
        handle = self._backend.client.get_workflow_handle(_id(node))
        try:
            found = (await handle.describe()).raw_description
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise rpc_error(error, self._backend.connections.default.target, f"node {node}") from error
        if found.workflow_execution_info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
            return False
        return any(pending.state in _ALIVE for pending in found.pending_activities)

    # --- watches ------------------------------------------------------------------------------

    def _watch(self, pid: Pid, watcher: str, link: bool) -> None:
        """Tell an actor of ours when the node of what it watches has died."""
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
            await asyncio.sleep(self._lease_s / 2)
            try:
                if await self.alive(node):
                    continue
            except Error as error:
                log.info("cannot ask whether the node %s lives: %s", node, error)
                continue
            log.warning("node %s has died; %d watchers are told", node, len(self._watched[node]))
            for pid, watcher, link in sorted(self._watched[node]):
                actor = self._host.get(watcher)
                if actor is not None:
                    actor.watched_end(pid, _DIED, link)
            break
        del self._watched[node]


def _id(node: str) -> str:
    return f"saros-node:{node.removeprefix('@')}"
