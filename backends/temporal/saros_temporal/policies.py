"""Durations and policies in Temporal's form."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import RetryPolicy as TemporalRetryPolicy
from temporalio.api.enums.v1 import WorkflowIdReusePolicy

from saros.model.errors import TIMEOUT
from saros.model.records import RetryPolicy, StartOptions
from saros.model.timing import cron_of

TIMEOUT_NAMES: Final = tuple(
    f"TemporalTimeout:{name}" for name in ("StartToClose", "Heartbeat", "ScheduleToClose")
)
"""What the kind Timeout is called among the error types of a retry policy."""

REUSE: Final = {
    "allow_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate_failed_only": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    "reject_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
}


def duration(ms: int) -> Duration:
    """Milliseconds as a duration."""
    seconds, rest = divmod(ms, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)


def put_durations(target: Message, **ms: int) -> None:
    """Write durations into the fields of these names; 0 leaves one out."""
    for field, value in ms.items():
        if value:
            getattr(target, field).CopyFrom(duration(value))


def cron_schedule(options: StartOptions) -> str:
    """The cron expression of start options, as Temporal reads it; "" when there is none.

    :raises Error: INVALID.
    """
    return cron_of(options.cron_schedule).in_numbers() if options.cron_schedule else ""


@lru_cache(maxsize=256)
def retry_policy(policy: RetryPolicy) -> TemporalRetryPolicy:
    """Temporal's form of a policy; shared, so copy it."""
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
