"""Retries of activities that people hurry."""

from __future__ import annotations

from typing import TypeVar

from anyio import CancelScope
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    PauseActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from saros.model.errors import INVALID, Error

_Request = TypeVar("_Request", PauseActivityRequest, UnpauseActivityRequest)


async def hurry(client: Client, found: DescribeWorkflowExecutionResponse) -> bool:
    """Attempt now the activities that wait for a retry; False if none does.

    :raises Error: INVALID when the server is too old for that.
    """
    waiting = [each for each in found.pending_activities if _waits(each)]
    for each in waiting:
        try:
            # A pause ends the wait, and what follows it is attempted at once; a reset would count from 1 again.
            # A pause that nobody takes back would hold it for ever: both are done, whoever is cancelled.
            with CancelScope(shield=True):
                await client.workflow_service.pause_activity(
                    _asked(client, found, each, PauseActivityRequest())
                )
                await client.workflow_service.unpause_activity(
                    _asked(client, found, each, UnpauseActivityRequest()), retry=True
                )
        except RPCError as error:
            if error.status != RPCStatusCode.UNIMPLEMENTED:
                raise
            raise Error("this Temporal server cannot hurry a retry", INVALID, retryable=False) from error
    return bool(waiting)


def _waits(activity: PendingActivityInfo) -> bool:
    state = activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    return activity.paused or (state and activity.attempt > 1)


def _asked(
    client: Client, found: DescribeWorkflowExecutionResponse, activity: PendingActivityInfo, request: _Request
) -> _Request:
    request.namespace, request.identity, request.id = client.namespace, client.identity, activity.activity_id
    request.execution.CopyFrom(found.workflow_execution_info.execution)
    return request
