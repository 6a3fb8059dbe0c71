"""Commands and answers of a workflow as Temporal's protobufs."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from temporalio.bridge.proto.activity_result import DoBackoff
from temporalio.bridge.proto.child_workflow import ChildWorkflowCancellationType, ParentClosePolicy
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ContinueAsNewWorkflowExecution,
    ScheduleActivity,
    ScheduleLocalActivity,
    SignalExternalWorkflowExecution,
    StartChildWorkflowExecution,
    WorkflowCommand,
)

from saros.interfaces.deployment import Deployment
from saros.model.raw import Raw
from saros.model.records import CallOptions, ContinueAsNew, Message, Spawn, pack
from saros.model.values import Json, members

from .payloads import CONTEXT, MESSAGES, SENDER, memo_name, put_all, put_json
from .policies import REUSE, cron_schedule, put_durations, retry_policy
from .search import SearchAttributes

LOCAL_WAIT_S: Final = 5
"""How long the worker itself waits between two attempts of a local activity; a timer does for longer. A worker that
is to stop cannot end such a wait."""
TRY_CANCEL: Final = ActivityCancellationType.TRY_CANCEL
WAIT_CANCELLATION: Final = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
CHILD_TRY_CANCEL: Final = ChildWorkflowCancellationType.TRY_CANCEL
CHILD_WAIT_REQUESTED: Final = ChildWorkflowCancellationType.WAIT_CANCELLATION_REQUESTED
CHILD_WAIT_CANCELLATION: Final = ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED

_CLOSE: Final = {
    "terminate": ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    "abandon": ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON,
    "request_cancel": ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
}


class Sink(Protocol):
    """The commands of a completion."""

    def add(self) -> WorkflowCommand: ...


# --- activities -----------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def activity(name: str, options: CallOptions, queue: str) -> ScheduleActivity:
    """What all calls of a function with the same options have in common; shared, so copy it."""
    common = ScheduleActivity(
        activity_type=name,
        activity_id=options.id,
        task_queue=queue,
        retry_policy=retry_policy(options.retry_policy),
        cancellation_type=WAIT_CANCELLATION if options.wait_for_cancellation else TRY_CANCEL,
    )
    put_durations(
        common,
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        schedule_to_start_timeout=options.schedule_to_start_timeout,
        start_to_close_timeout=options.start_to_close_timeout,
        heartbeat_timeout=options.heartbeat_timeout,
    )
    return common


@lru_cache(maxsize=512)
def local_activity(name: str, options: CallOptions) -> ScheduleLocalActivity:
    """The same for local activities."""
    common = ScheduleLocalActivity(
        activity_type=name,
        activity_id=options.id,
        retry_policy=retry_policy(options.retry_policy),
        cancellation_type=WAIT_CANCELLATION if options.wait_for_cancellation else TRY_CANCEL,
    )
    put_durations(
        common,
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        start_to_close_timeout=options.start_to_close_timeout,
        local_retry_threshold=LOCAL_WAIT_S * 1000,
    )
    return common


def put_call(
    target: ScheduleActivity | ScheduleLocalActivity, seq: int, args: Json | Raw, context: Json | Raw
) -> None:
    """Write what is a call's own over what it has in common with others."""
    target.seq = seq
    if not target.activity_id:
        target.activity_id = str(seq)
    put_all(target.arguments, args)
    if context != b"{}":
        put_json(target.headers[CONTEXT], context)


def put_backoff(target: ScheduleLocalActivity, backoff: DoBackoff) -> None:
    """Go on with the attempt after a backoff that was too long for the worker to wait."""
    target.attempt = backoff.attempt
    target.original_schedule_time.CopyFrom(backoff.original_schedule_time)


# --- other workflows --------------------------------------------------------------------------------


def put_child(
    target: StartChildWorkflowExecution, spawn: Spawn, type_name: str, parent: str, search: SearchAttributes
) -> None:
    """Write the start of a child, but for its number and its place."""
    options = spawn.options
    target.workflow_type = type_name
    put_all(target.input, spawn.args)
    put_json(target.headers[SENDER], pack(parent))
    if spawn.context != b"{}":
        put_json(target.headers[CONTEXT], spawn.context)
    if spawn.messages:
        put_json(target.headers[MESSAGES], pack(spawn.messages))
    target.parent_close_policy = _CLOSE[options.parent_close_policy]
    target.workflow_id_reuse_policy = REUSE[options.id_reuse_policy]
    target.cancellation_type = CHILD_WAIT_CANCELLATION if options.wait_for_cancellation else CHILD_TRY_CANCEL
    target.cron_schedule = cron_schedule(options)
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
            put_json(target.memo[memo_name(key)], item)
    for key, payload in search.encoded(options.search_attributes).items():
        target.search_attributes.indexed_fields[key].CopyFrom(payload)


def put_signal(target: SignalExternalWorkflowExecution, namespace: str, id: str, message: Message) -> None:
    """Write a message to another workflow, but for its number."""
    target.workflow_execution.namespace = namespace
    target.workflow_execution.workflow_id = id
    target.signal_name = message.topic
    put_all(target.args, message.payloads)
    put_json(target.headers[SENDER], pack(message.sender))


def put_continuation(
    target: ContinueAsNewWorkflowExecution,
    request: ContinueAsNew,
    type_name: str,
    late: list[Message],
    deployment: Deployment,
) -> None:
    """Write the start of the next run, which gets the arguments, the context and all mail that nobody has read.

    :param late: mail that came after the program had closed.
    """
    target.workflow_type = (
        deployment.registry.workflow(request.entry).type_name if request.entry else type_name
    )
    put_all(target.arguments, request.args)
    if request.context != b"{}":
        put_json(target.headers[CONTEXT], request.context)
    mail = [*request.mail, *late]
    if mail:
        put_json(target.headers[MESSAGES], pack(mail))
