"""Commands and answers of a workflow as Temporal's protobufs."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Final

from google.protobuf import message
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import RetryPolicy as TemporalRetryPolicy
from temporalio.bridge.proto.activity_result import DoBackoff
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ScheduleActivity,
    ScheduleLocalActivity,
    SignalExternalWorkflowExecution,
)
from temporalio.common import RetryPolicy as Policy

from saros.model.clock import backoff
from saros.model.errors import TIMEOUT, ErrorData
from saros.model.raw import Raw
from saros.model.records import CallOptions, Message, RetryPolicy, pack
from saros.model.values import Json

from .payloads import CONTEXT, SENDER, TRACE, put_all, put_json

NS: Final = 1_000_000_000
"""Nanoseconds of a second."""

LOCAL_WAIT_S: Final = 5
"""How long the worker itself waits between two attempts of a local activity; a timer does for longer. A worker that
stops cannot end such a wait."""
_TRY_CANCEL: Final = ActivityCancellationType.TRY_CANCEL
_WAIT_CANCELLATION: Final = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED


# --- activities -----------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def activity(name: str, options: CallOptions, queue: str) -> ScheduleActivity:
    """Return the part that all calls of a function with the same options share; copy it before changes."""
    common = ScheduleActivity(
        activity_type=name,
        activity_id=options.id,
        task_queue=queue,
        retry_policy=retry_policy(options.retry_policy),
        cancellation_type=_WAIT_CANCELLATION if options.wait_for_cancellation else _TRY_CANCEL,
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
        cancellation_type=_WAIT_CANCELLATION if options.wait_for_cancellation else _TRY_CANCEL,
    )
    put_durations(
        common,
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        start_to_close_timeout=options.start_to_close_timeout,
        local_retry_threshold=LOCAL_WAIT_S * 1000,
    )
    return common


def put_call(
    target: ScheduleActivity | ScheduleLocalActivity,
    seq: int,
    args: Json | Raw,
    context: Json | Raw,
    trace: str = "",
) -> None:
    """Fill in the fields that differ from call to call."""
    target.seq = seq
    if not target.activity_id:
        target.activity_id = str(seq)
    put_all(target.arguments, args)
    if context != b"{}":
        put_json(target.headers[CONTEXT], context)
    if trace:
        put_json(target.headers[TRACE], pack(trace))


def put_backoff(target: ScheduleLocalActivity, backoff: DoBackoff) -> None:
    """Continue with the attempt after a backoff that was too long for the worker to wait."""
    target.attempt = backoff.attempt
    target.original_schedule_time.CopyFrom(backoff.original_schedule_time)


# --- other workflows --------------------------------------------------------------------------------


def put_signal(target: SignalExternalWorkflowExecution, namespace: str, id: str, message: Message) -> None:
    """Write a message to another workflow, except for its number."""
    target.workflow_execution.namespace = namespace
    target.workflow_execution.workflow_id = id
    target.signal_name = message.topic
    put_all(target.args, message.payloads)
    put_json(target.headers[SENDER], pack(message.sender))
    if message.trace:
        put_json(target.headers[TRACE], pack(message.trace))


# --- durations and policies -----------------------------------------------------------------------

TIMEOUT_NAMES: Final = tuple(
    f"TemporalTimeout:{name}" for name in ("StartToClose", "Heartbeat", "ScheduleToClose")
)
"""The name of the kind Timeout among the error types of a retry policy."""


def duration(ms: int) -> Duration:
    """Convert milliseconds to a duration."""
    seconds, rest = divmod(ms, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)


def put_durations(target: message.Message, **ms: int) -> None:
    """Write durations into the named fields; a duration of 0 is left out."""
    for field, value in ms.items():
        if value:
            getattr(target, field).CopyFrom(duration(value))


@lru_cache(maxsize=256)
def retry_policy(policy: RetryPolicy) -> TemporalRetryPolicy:
    """Return a policy in Temporal's form; it is shared, so copy it before changes."""
    initial = policy.initial_interval or RetryPolicy().initial_interval
    names = set(policy.non_retryable_error_types)
    if TIMEOUT in names:
        names.update(TIMEOUT_NAMES)
    return TemporalRetryPolicy(
        initial_interval=duration(initial),
        backoff_coefficient=policy.backoff_coefficient,
        maximum_interval=duration(max(policy.maximum_interval, initial)),
        maximum_attempts=policy.maximum_attempts,
        non_retryable_error_types=sorted(names),
    )


def next_attempt_s(policy: Policy | None, attempt: int, error: ErrorData) -> float | None:
    """Seconds until the server makes another attempt of an activity, or None when it makes none."""
    if policy is None or not error.may_retry():
        return None
    if policy.maximum_attempts and attempt >= policy.maximum_attempts:
        return None
    if error.kind in (policy.non_retryable_error_types or ()):
        return None
    initial = policy.initial_interval / timedelta(milliseconds=1)
    longest = (
        policy.maximum_interval / timedelta(milliseconds=1) if policy.maximum_interval else 100 * initial
    )
    return backoff(round(initial), policy.backoff_coefficient, round(longest), attempt) / 1000
