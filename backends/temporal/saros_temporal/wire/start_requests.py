"""Requests to start a workflow, a child workflow, or the next run of one."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from typing import Final, NamedTuple

from temporalio.api.common.v1 import Payload, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.bridge.proto.child_workflow import ChildWorkflowCancellationType, ParentClosePolicy
from temporalio.bridge.proto.workflow_commands import (
    ContinueAsNewWorkflowExecution,
    StartChildWorkflowExecution,
)
from temporalio.converter import DataConverter

from saros.model.execution import StartRequest
from saros.model.raw import Raw
from saros.model.records import CancelRequest, ContinueAsNew, Message, Spawn, StartOptions, pack
from saros.model.timing import cron_of
from saros.model.values import Json, members

from .commands import put_durations, retry_policy
from .payloads import (
    CANCEL_REQUEST,
    CONTEXT,
    MESSAGES,
    SECRET,
    SENDER,
    TRACE,
    encoded,
    memo_name,
    payloads,
    put_all,
    put_json,
)
from .search_attributes import SearchAttributes

_CONFLICT: Final = {
    "use_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    "fail": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    "terminate_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
}
_REUSE: Final = {
    "allow_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate_failed_only": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    "reject_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
}
_CLOSE: Final = {
    "terminate": ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    "abandon": ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON,
    "request_cancel": ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
}
_CHILD_TRY_CANCEL: Final = ChildWorkflowCancellationType.TRY_CANCEL
_CHILD_WAIT_REQUESTED: Final = ChildWorkflowCancellationType.WAIT_CANCELLATION_REQUESTED
_CHILD_WAIT_CANCELLATION: Final = ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED


# --- from a client --------------------------------------------------------------------------------


async def start_request(
    request: StartRequest, namespace: str, identity: str, converter: DataConverter, search: SearchAttributes
) -> StartWorkflowExecutionRequest:
    """Return the request that starts a workflow; its payloads are already encoded.

    :raises Error: INVALID for values that are not valid data.
    """
    options = request.options
    conflict = "fail" if options.execution_error_when_already_started else options.id_conflict_policy
    built = StartWorkflowExecutionRequest(
        namespace=namespace,
        workflow_id=request.id,
        workflow_type=WorkflowType(name=request.type),
        task_queue=TaskQueue(name=request.task_queue),
        identity=identity,
        request_id=request.request_id,
        workflow_id_conflict_policy=_CONFLICT[conflict],
        request_eager_execution=options.enable_eager_start,
    )
    put_durations(built, workflow_start_delay=options.start_delay)
    starter = request.parent.pid if request.parent else request.watcher.pid if request.watcher else ""
    memo, headers = built.memo.fields, built.header.fields
    _put_options(built, options, memo, search)
    _put_headers(headers, request.context, request.messages, pack(starter) if starter else b"")
    put_json(headers[SECRET], pack(os.urandom(32).hex()))
    if request.trace:
        put_json(headers[TRACE], pack(request.trace))
    built.input.payloads.extend(await encoded(converter, payloads(request.args)))
    plain = [*memo.values(), *headers.values()]
    for payload, item in zip(plain, await encoded(converter, plain), strict=True):
        payload.CopyFrom(item)
    return built


# --- from a workflow ------------------------------------------------------------------------------


def put_child(
    target: StartChildWorkflowExecution, spawn: Spawn, type_name: str, parent: str, search: SearchAttributes
) -> None:
    """Write the start command of a child, except for its number and its place."""
    options = spawn.options
    target.workflow_type = type_name
    put_all(target.input, spawn.args)
    target.parent_close_policy = _CLOSE[options.parent_close_policy]
    target.cancellation_type = _cancellation(options)
    _put_options(target, options, target.memo, search)
    _put_headers(target.headers, spawn.context, spawn.messages, pack(parent))


def _cancellation(options: StartOptions) -> ChildWorkflowCancellationType.ValueType:
    if options.wait_for_cancellation:
        return _CHILD_WAIT_CANCELLATION
    return _CHILD_WAIT_REQUESTED if options.parent_close_policy == "abandon" else _CHILD_TRY_CANCEL


class Late(NamedTuple):
    """Mail that arrived after the program had closed."""

    messages: Sequence[Message] = ()
    cancels: Sequence[CancelRequest] = ()


def put_continuation(
    target: ContinueAsNewWorkflowExecution,
    request: ContinueAsNew,
    type_name: str,
    late: Late,
    starter: Json,
) -> None:
    """Write the start command of the next run, which gets the arguments, the context, all unread mail, and the
    cancellations that the program has not met.

    :param starter: the pid that started the workflow, as JSON, if known.
    """
    target.workflow_type = type_name
    put_all(target.arguments, request.args)
    _put_headers(target.headers, request.context, [*request.mail, *late.messages], starter)
    if cancels := [*request.cancels, *late.cancels]:
        put_json(target.headers[CANCEL_REQUEST], pack(cancels))


# --- shared ---------------------------------------------------------------------------------------


def _put_options(
    target: StartWorkflowExecutionRequest | StartChildWorkflowExecution,
    options: StartOptions,
    memo: MutableMapping[str, Payload],
    search: SearchAttributes,
) -> None:
    target.workflow_id_reuse_policy = _REUSE[options.id_reuse_policy]
    if options.cron_schedule:
        target.cron_schedule = cron_of(options.cron_schedule).in_numbers()
    put_durations(
        target,
        workflow_execution_timeout=options.execution_timeout,
        workflow_run_timeout=options.run_timeout,
        workflow_task_timeout=options.task_timeout,
    )
    if options.retry_policy is not None:
        target.retry_policy.CopyFrom(retry_policy(options.retry_policy))
    if options.memo:
        for key, item in members(options.memo).items():
            put_json(memo[memo_name(key)], item)
    for key, payload in search.encoded(options.search_attributes).items():
        target.search_attributes.indexed_fields[key].CopyFrom(payload)


def _put_headers(
    headers: MutableMapping[str, Payload], context: Json | Raw, messages: Sequence[Message], sender: Json
) -> None:
    if context != b"{}":
        put_json(headers[CONTEXT], context)
    if messages:
        put_json(headers[MESSAGES], pack(messages))
    if sender:
        put_json(headers[SENDER], sender)
