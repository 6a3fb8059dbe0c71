"""The parts that regular and local activities share: the attempt's info, its limits, and the retry decision."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from ..interfaces.activities import ActivityLease, ActivityTask, Settled
from ..interfaces.host import Attempt, Attempts, Done
from ..interfaces.observer import about_call, tell_failure
from ..model.errors import INTERNAL, TIMEOUT, UNAVAILABLE, Error, ErrorData
from ..model.execution import error_of
from ..model.records import Call, CallOptions, Outcome, pack
from ..model.timing import MS
from ..model.values import Json, error_data

log = logging.getLogger("saros.engine")


def id_of(task: ActivityTask) -> str:
    """Return the activity id that ``activity.info()`` returns."""
    return task.call.options.id or str(task.ref)


def call_info(
    workflow_id: str, run_id: str, workflow_type: str, ref: int, queue: str, attempt: int, scheduled: int
) -> dict[str, Any]:
    """Return the result of ``activity.info()``; `scheduled_time` is in nanoseconds since 1970."""
    return {
        "activity_id": str(ref),
        "attempt": attempt,
        "workflow_id": workflow_id,
        "run_id": run_id,
        "workflow_type": workflow_type,
        "task_queue": queue,
        "scheduled_time": scheduled,
    }


def start_limited(
    attempts: Attempts,
    call: Call,
    info: dict[str, Any],
    done: Done,
    heartbeat: Callable[[Json], None] | None = None,
    trace: str = "",
) -> Attempt:
    """Start an attempt under the activity's start-to-close timeout.

    :param trace: see `saros.interfaces.observer.Observer.attempt`.
    :raises Error: when the function is missing or its code cannot be loaded.
    """
    options = call.options
    entry = attempts.deployment.registry.callable(call.target)
    if options.id:
        info["activity_id"] = options.id
    scope = attempts.scope(info, call)
    scope.heartbeat = heartbeat or (lambda details: None)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s for %s starts", call.target, info["workflow_id"], extra=about_call(scope, call.target))
    observer = attempts.deployment.observer
    if observer is not None:
        done = observer.attempt(call.target, scope, trace, done)
    attempt = attempts.start(entry, call, scope, done)
    limit = options.start_to_close_timeout
    if limit:
        attempt.limit("start_to_close", limit, lambda: attempt_timeout("start_to_close", limit))
    return attempt


def start_attempt(
    attempts: Attempts, task: ActivityTask, done: Done, heartbeat: Callable[[Json], None]
) -> Attempt | None:
    """Start an attempt of an activity; return None if it could not begin, after telling `done`."""
    info = call_info(task.id, task.run_id, task.type, task.ref, task.task_queue, task.attempt, task.scheduled)
    if task.heartbeat:
        info["heartbeat_details"] = task.heartbeat
    try:
        attempt = start_limited(attempts, task.call, info, done, heartbeat, task.trace)
    except Error as error:
        done(pack(Outcome(err=error_data(error))))
        return None
    except Exception as raised:  # a bug in Saros must not stop the rest of the batch
        log.exception("could not start an attempt of %s for %s", task.call.target, task.id)
        done(pack(Outcome(err=error_of(raised))))
        return None
    limit_heartbeat(attempt, task.call.options)
    return attempt


def limit_heartbeat(attempt: Attempt, options: CallOptions) -> None:
    """(Re)arm the heartbeat timeout of a running attempt."""
    limit = options.heartbeat_timeout
    if not limit:
        return
    attempt.limit("heartbeat", limit, lambda: attempt_timeout("heartbeat", limit))


def timeout_error(timeout_type: str, ms: int) -> ErrorData:
    """Return the error for the caller of an activity after one of its four timeouts (in milliseconds)."""
    details = pack({"timeout_type": timeout_type})
    limit = f"{ms / 1000:g} s"
    return ErrorData(f"{timeout_type} timeout of {limit} exceeded", TIMEOUT, False, msgspec.Raw(details))


class _AttemptTimeout(bytes):
    """Return the `Outcome` of an attempt that timed out: final for its caller, but its own policy retries it."""


def attempt_timeout(timeout_type: str, ms: int) -> Json:
    return _AttemptTimeout(pack(Outcome(err=timeout_error(timeout_type, ms))))


def retry_after(task: ActivityTask, outcome: Json) -> int | None:
    """Return the nanoseconds until the attempt after one with this `Outcome`, or None; log a failure."""
    failure = failure_of(outcome)
    if failure is None:
        return None
    delay = next_delay_ms(task.call.options, failure, task.attempt)
    tell_attempt(task, failure, delay)
    return None if delay is None else delay * MS


def tell_attempt(task: ActivityTask, failure: ErrorData, delay: int | None = None) -> None:
    """Log that an attempt has failed; `delay` is in milliseconds."""
    info = call_info(task.id, task.run_id, task.type, task.ref, task.task_queue, task.attempt, task.scheduled)
    tell_failure(log, task.call.target, info, failure, None if delay is None else delay / 1000)


def next_delay_ms(
    options: CallOptions, failure: ErrorData | None, attempt: int, elapsed_ns: int = 0
) -> int | None:
    """Return the milliseconds until the attempt after number `attempt`, or None if the last outcome stands.

    :param elapsed_ns: since the activity was scheduled, if the store does not keep track of it (see `Settled`).
    """
    policy = options.retry_policy
    if failure is None or not failure.may_retry() or failure.kind in policy.non_retryable_error_types:
        return None
    if policy.maximum_attempts and attempt >= policy.maximum_attempts:
        return None
    delay = policy.delay_ms(attempt)
    total = options.schedule_to_close_timeout
    if total and elapsed_ns + delay * MS >= total * MS:
        return None  # the next attempt could not start in time
    return delay


def failure_of(outcome: Json) -> ErrorData | None:
    """Return the error in an `Outcome`, if any, as the retry policy of its activity sees it."""
    if outcome.startswith(b'{"ok"') or outcome == b"{}":
        return None
    error = msgspec.json.decode(outcome, type=Outcome).err
    if error is not None and isinstance(outcome, _AttemptTimeout):
        return msgspec.structs.replace(error, retryable=None)
    return error


STOPPED = pack(Outcome(err=ErrorData("its worker stopped before it had ended", UNAVAILABLE)))
"""The outcome of an attempt whose worker stops. As with a lost worker, it is not an error of the function."""


def verdict(lease: ActivityLease, outcome: Json) -> Settled:
    """Return the end of an attempt for the store: its outcome, and whether another attempt follows."""
    task = lease.task
    try:
        if outcome is STOPPED:  # as with a lost worker, not an error of the function
            most = task.call.options.retry_policy.maximum_attempts
            return Settled(lease, outcome, None if most and task.attempt >= most else 0)
        return Settled(lease, outcome, retry_after(task, outcome))
    except Exception as raised:  # a bug in Saros must not make the activity wait forever
        log.exception("could not process the outcome of %s for %s", task.call.target, task.id)
        error = ErrorData(
            f"could not process the outcome of {task.call.target}: {error_of(raised).message}",
            INTERNAL,
            False,
        )
        return Settled(lease, pack(Outcome(err=error)))
