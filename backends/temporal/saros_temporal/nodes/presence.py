"""Presence: how nodes learn that another node is alive or dead.

A *node* is a process with actors (functions and processes). One that others rely on (it has registered a name, or
another node watches one of its processes) is *present*: an execution ``saros-node:<node>`` with one activity, which
the node keeps alive by heartbeats. When they stop, the activity waits to be tried again, and that is how others see
that the node has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Final, Protocol

from anyio import move_on_after
from temporalio import workflow
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.client import AsyncActivityHandle
from temporalio.common import RawValue, RetryPolicy, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from saros.interfaces.host import Host
from saros.model.background import Job, Jobs
from saros.model.errors import INVALID, Error

from ..client.errors import rpc_error
from ..client.namespace import Namespace
from ..client.target import seconds
from ..wire.operations import NODE_TYPE, PRESENCE, node_queue
from ..wire.payloads import to_payload

log = logging.getLogger("saros.temporal")

PATIENCE_S: Final = 10.0
"""A request is given up when the node has not carried it out after this time."""
LEASE_S: Final = 15.0
"""A node without heartbeats for this long counts as dead."""
FAREWELL_S: Final = 2.0

_ALIVE: Final = (
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
)


class NodeBackend(Protocol):
    """The part of the backend that a node uses."""

    @property
    def namespace(self) -> Namespace:
        """The namespace that has the nodes."""
        ...

    @property
    def host(self) -> Host | None:
        """The processes of this node, if others can reach them."""
        ...

    @property
    def jobs(self) -> Jobs: ...


@workflow.defn(name=NODE_TYPE, sandboxed=False)
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


def own_host(backend: NodeBackend) -> Host:
    """Return the process host of this node.

    :raises Error: INVALID when no other node can reach it.
    """
    host = backend.host
    if host is None:
        raise Error(
            "this app was opened without workers, so other nodes cannot reach its processes: they can neither have "
            "names nor watch those of other nodes",
            INVALID,
            retryable=False,
        )
    return host


class Presence:
    """The presence of this node, and checks of the presence of others."""

    def __init__(self, backend: NodeBackend, lease: object = None) -> None:
        self._backend = backend
        self.lease_s = seconds(lease) or LEASE_S
        self._job: Job[None] | None = None
        self._arrived = asyncio.Event()

    async def close(self) -> None:
        """Report the end of this node, so that its names are free at once."""
        if self._job is None:
            return
        self._job.cancel()
        farewell = self._backend.namespace.messages.terminate(
            _id(own_host(self._backend).node), "the node has ended"
        )
        with (
            contextlib.suppress(Error),
            move_on_after(FAREWELL_S, shield=True),
        ):  # the lease expires by itself
            await farewell

    async def be_present(self) -> None:
        """Make this node present, so that others know that it is alive."""
        if self._job is None:
            await self._begin()
        await self._arrived.wait()

    async def _begin(self) -> None:
        """Start the presence, unless it is running."""
        await self._backend.namespace.client.start_workflow(
            NodeWorkflow.run,
            args=[PRESENCE, RawValue(to_payload(b"null")), self.lease_s],
            id=_id(own_host(self._backend).node),
            task_queue=node_queue(own_host(self._backend).node),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    def arrived(self, handle: AsyncActivityHandle) -> bool:
        """The presence of this node has begun (again, if True): keep it."""
        again = self._job is not None
        if self._job is not None:
            self._job.cancel()
        self._job = self._backend.jobs.start(self._beat(handle), "the presence of this node")
        self._arrived.set()
        return again

    async def _beat(self, handle: AsyncActivityHandle) -> None:
        while True:
            await asyncio.sleep(self.lease_s / 4)
            try:
                await handle.heartbeat()
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    log.info("the heartbeat of this node did not arrive: %s", error)
                    continue
                break  # too late: the server gives the activity to this node again
        try:
            await self._begin()  # or a client has ended the execution
        except RPCError as error:
            log.warning("other nodes take this node for dead:  %s", error)

    async def alive(self, node: str) -> bool:
        """Whether a node that was present is still alive."""
        handle = self._backend.namespace.client.get_workflow_handle(_id(node))
        try:
            found = (await handle.describe()).raw_description
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise rpc_error(error, self._backend.namespace.target, f"node {node}") from error
        if found.workflow_execution_info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
            return False
        return any(pending.state in _ALIVE for pending in found.pending_activities)


def _id(node: str) -> str:
    return f"saros-node:{node.removeprefix('@')}"
