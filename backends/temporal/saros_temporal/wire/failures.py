"""Conversion of errors: Lua's structured errors are Temporal's application failures.

The failure's type is the kind, its first detail the error's details, ``non_retryable`` what the kernel's
retry rule says. What Temporal has no place for (retryable left open, stack, wrapping) is the second detail.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.activity_result import ActivityResolution
from temporalio.bridge.proto.child_workflow import ChildWorkflowResult
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, CancelledError, FailureError, TerminatedError
from temporalio.exceptions import TimeoutError as TimedOut

from saros.model.errors import CANCELED, INTERNAL, INVALID, NOT_FOUND, TIMEOUT, UNAVAILABLE, Error, ErrorData
from saros.model.raw import ABSENT, Raw
from saros.model.records import Outcome, outcome_ok, pack
from saros.model.values import NULL, Json

from .payloads import MAX_PAYLOAD, put_json, to_json, to_payload, too_large

_TIMEOUTS: Final[dict[int, str]] = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "start_to_close",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: "schedule_to_start",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "schedule_to_close",
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "heartbeat",
}
CANCELED_ERROR: Final = ErrorData("canceled", CANCELED, False)
CANCELED_OUTCOME: Final = pack(Outcome(err=CANCELED_ERROR))
WORKFLOW_TIMED_OUT: Final = ErrorData("timed out", TIMEOUT, False)
"""As on the other backends, without the `timeout_type` of an activity's timeout."""
NEXT_RUN: Final = ErrorData("the workflow continues as new before it hears of the update", UNAVAILABLE, True)
"""Rejects an update that the next run may carry out."""
GONE: Final = ErrorData("the workflow has ended, and its program is gone; ask again", NOT_FOUND, False)
"""Answers a query that came with the last task of a run."""


class _Extra(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="saros", tag="error"):
    """The second detail of a failure."""

    open: bool = False  # retryable is nil
    message: str = ""  # without the context in front
    context: str = ""
    stack: str | None = None
    retryable: bool | None = None  # when it is not what non_retryable says


class _Encoded(msgspec.Struct, frozen=True):
    """The text of a failure, when its converter encodes it."""

    message: str = ""


def failure(error: ErrorData, last: bool = False) -> Failure:
    """Return the failure of a workflow, update or query; after a `last` one the server starts no other run."""
    error = _fitting(error)
    found = Failure(message=_text(error), source="saros", stack_trace=error.stack or "")
    info = found.application_failure_info
    info.type = error.kind
    info.non_retryable = last or not error.may_retry()
    for detail in _details(error, _extra(error, error.retryable if last else None)):
        put_json(info.details.payloads.add(), detail)
    return found


def to_failure(error: ErrorData) -> ApplicationError:
    """Return the exception that fails an activity with `error`."""
    error = _fitting(error)
    return _exception(error, _extra(error), not error.may_retry())


def refusal(error: ErrorData) -> ApplicationError:
    """Like `to_failure`, for an activity that this worker gives back at once, although another could run it."""
    return _exception(error, _extra(error, error.retryable), True)


def _exception(error: ErrorData, extra: _Extra, non_retryable: bool) -> ApplicationError:
    details = [RawValue(to_payload(detail)) for detail in _details(error, extra)]
    return ApplicationError(_text(error), *details, type=error.kind or None, non_retryable=non_retryable)


def _fitting(error: ErrorData) -> ErrorData:
    """Return an error, or why Temporal takes it as little as a result of that size: it would drop the details of an
    activity's error, and refuse each task that ends a workflow with it."""
    size = len(error.details)
    return error if size <= MAX_PAYLOAD else ErrorData(too_large(size), INVALID, False)


def _text(error: ErrorData) -> str:
    return f"{error.context}: {error.message}" if error.context else error.message


def _extra(error: ErrorData, retryable: bool | None = None) -> _Extra:
    return _Extra(
        open=error.retryable is None,
        message=error.message if error.context else "",
        context=error.context,
        stack=error.stack,
        retryable=retryable,
    )


def _details(error: ErrorData, extra: _Extra) -> tuple[Json, Json]:
    return bytes(error.details) or NULL, pack(extra)


def error_of(raised: BaseException) -> ErrorData:
    """Convert an exception of Temporal's client to an error."""
    if isinstance(raised, FailureError) and raised.failure is not None:
        return error_in(raised.failure)
    if isinstance(raised, (CancelledError, asyncio.CancelledError)):
        return CANCELED_ERROR
    if isinstance(raised, TerminatedError):
        return _terminated(raised.message)
    if isinstance(raised, TimedOut):
        return WORKFLOW_TIMED_OUT
    return ErrorData(str(raised) or type(raised).__name__, INTERNAL, False)


def error_in(failure: Failure) -> ErrorData:
    """Convert a failure to an error, or return the error that it wraps."""
    kind = failure.WhichOneof("failure_info")
    if kind == "application_failure_info":
        return _application(failure)
    if kind == "timeout_failure_info":
        return _timed_out(failure.timeout_failure_info.timeout_type)
    if kind == "canceled_failure_info":
        return CANCELED_ERROR
    if kind == "terminated_failure_info":
        return _terminated("")  # the server does not tell a parent the reason
    if failure.HasField("cause"):
        if kind == "child_workflow_execution_failure_info" and failure.cause.HasField("timeout_failure_info"):
            return WORKFLOW_TIMED_OUT
        return error_in(failure.cause)
    return ErrorData(_message(failure) or "the failure has no message", INTERNAL, False)


def outcome_of(raised: BaseException) -> Json:
    """Return the `Outcome` of an exception of Temporal's client."""
    return pack(Outcome(err=error_of(raised)))


def failed(failure: Failure) -> Json:
    """Return the `Outcome` of a failure."""
    return pack(Outcome(err=error_in(failure)))


def resolved(result: ActivityResolution | ChildWorkflowResult) -> Json:
    """Return the `Outcome` of an activity or a child that has ended."""
    status = result.WhichOneof("status")
    if status == "completed":
        done = result.completed
        return succeeded(done.result if done.HasField("result") else None)
    return failed((result.failed if status == "failed" else result.cancelled).failure)


def watched(outcome: Json) -> Json:
    """Return the `Outcome` of an execution from that of the activity that watched it."""
    found = msgspec.json.decode(outcome, type=Outcome)
    return bytes(found.ok) if found.err is None and found.ok else outcome


def succeeded(payload: Payload | None) -> Json:
    """Return the `Outcome` of a result, or an error when the result is not JSON."""
    try:
        return outcome_ok(NULL if payload is None else to_json(payload))
    except Error as error:
        return pack(Outcome(err=ErrorData(error.message, error.kind, False)))


def settled(value: RawValue | None) -> Json:
    """Return the `Outcome` of a result from Temporal's client."""
    return succeeded(None if value is None else value.payload)


def _message(failure: Failure) -> str:
    """Return the text of a failure, which a codec may hide from the server."""
    if failure.HasField("encoded_attributes"):
        try:
            return msgspec.json.decode(to_json(failure.encoded_attributes), type=_Encoded).message
        except (Error, msgspec.MsgspecError):
            return failure.message
    return failure.message


def _terminated(message: str) -> ErrorData:
    return ErrorData(message or "terminated", CANCELED, False)


def _timed_out(kind: int) -> ErrorData:
    name = _TIMEOUTS.get(kind, "")
    details = Raw(pack({"timeout_type": name})) if name else ABSENT
    return ErrorData(f"{name} timeout exceeded" if name else "timed out", TIMEOUT, False, details)


def _application(failure: Failure) -> ErrorData:
    info = failure.application_failure_info
    parts = [_detail(payload) for payload in info.details.payloads]
    extra = _extra_in(parts[1]) if len(parts) == 2 else None
    if extra is not None:
        parts = parts[:1]
    details = ABSENT
    if len(parts) == 1:
        details = Raw(parts[0]) if parts[0] != NULL else ABSENT
    elif parts:
        details = Raw(b"[" + b",".join(parts) + b"]")
    retryable: bool | None = not info.non_retryable
    message, context, stack = _message(failure) or "Application error", "", None
    if extra is not None:
        message, context, stack = extra.message or message, extra.context, extra.stack
        retryable = None if extra.open else extra.retryable if extra.retryable is not None else retryable
    return ErrorData(message, info.type, retryable, details, stack, context)


def _detail(payload: Payload) -> Json:
    try:
        return to_json(payload)
    except Error as error:
        return pack(error.message)


def _extra_in(text: Json) -> _Extra | None:
    if not text.startswith(b'{"saros":"error"'):
        return None
    try:
        return msgspec.json.decode(text, type=_Extra)
    except msgspec.DecodeError:
        return None
