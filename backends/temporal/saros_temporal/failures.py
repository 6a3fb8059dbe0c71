"""Errors both ways: Lua's structured errors are Temporal's application failures.

The failure's type is the kind, its first detail the error's details, ``non_retryable`` what the kernel's
retry rule says. What Temporal has no place for (retryable left open, stack, wrapping) is the second detail.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from temporalio.api.failure.v1 import Failure
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    TimeoutType,
)
from temporalio.exceptions import TimeoutError as TimedOut

from saros.errors import CANCELED, INTERNAL, TIMEOUT, Error, ErrorData
from saros.program import Outcome, outcome_ok, pack
from saros.raw import ABSENT, Raw
from saros.values import NULL, Json

from .payloads import raw_json, to_json, to_payload

_TIMEOUTS: Final = {
    TimeoutType.START_TO_CLOSE: "start_to_close",
    TimeoutType.SCHEDULE_TO_START: "schedule_to_start",
    TimeoutType.SCHEDULE_TO_CLOSE: "schedule_to_close",
    TimeoutType.HEARTBEAT: "heartbeat",
}
TIMEOUT_NAMES: Final = {
    f"TemporalTimeout:{name}" for name in ("StartToClose", "Heartbeat", "ScheduleToClose")
}
CANCELED_ERROR: Final = ErrorData("canceled", CANCELED, False)


class _Extra(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="saros", tag="error"):
    """The second detail of a failure."""

    open: bool = False  # retryable is nil
    message: str = ""  # without the context in front
    context: str = ""
    stack: str | None = None
    retryable: bool | None = None  # when it is not what non_retryable says


def to_failure(error: ErrorData) -> ApplicationError:
    """The exception that fails a workflow, activity or update with `error`."""
    extra = _Extra(
        open=error.retryable is None,
        message=error.message if error.context else "",
        context=error.context,
        stack=error.stack,
    )
    details = [RawValue(to_payload(error.details or NULL)), RawValue(to_payload(_pack_extra(extra)))]
    text = f"{error.context}: {error.message}" if error.context else error.message
    return ApplicationError(text, *details, type=error.kind or None, non_retryable=not error.may_retry())


def refusal(error: ErrorData) -> ApplicationError:
    """As `to_failure`, for what is given back at once although another worker could do it."""
    extra = _Extra(open=error.retryable is None, retryable=error.retryable, stack=error.stack)
    details = [RawValue(to_payload(error.details or NULL)), RawValue(to_payload(_pack_extra(extra)))]
    return ApplicationError(error.message, *details, type=error.kind or None, non_retryable=True)


def _pack_extra(extra: _Extra) -> Json:
    return msgspec.json.encode(extra)


def error_of(raised: BaseException | None) -> ErrorData:
    """The error that a Temporal failure is."""
    if isinstance(raised, (ActivityError, ChildWorkflowError)) and raised.cause is not None:
        return error_of(raised.cause)
    if isinstance(raised, ApplicationError):
        return _application(raised)
    if isinstance(raised, TimedOut):
        return _timeout(raised)
    if isinstance(raised, (CancelledError, asyncio.CancelledError)):
        return CANCELED_ERROR
    if isinstance(raised, TerminatedError):
        return ErrorData(raised.message or "terminated", CANCELED, False)
    if isinstance(raised, FailureError) and raised.cause is not None:
        return error_of(raised.cause)
    text = str(raised) or type(raised).__name__
    return ErrorData(text, INTERNAL, False)


def outcome_of(raised: BaseException | None) -> Json:
    """The `Outcome` of a failure."""
    return pack(Outcome(err=error_of(raised)))


def settled(value: RawValue | None) -> Json:
    """The `Outcome` of success, or of failure when the result is no JSON."""
    try:
        return outcome_ok(raw_json(value))
    except Error as error:
        return pack(Outcome(err=ErrorData(error.message, error.kind, False)))


def _timeout(raised: TimedOut) -> ErrorData:
    name = _TIMEOUTS.get(raised.type, "") if raised.type is not None else ""
    details = Raw(pack({"timeout_type": name})) if name else ABSENT
    return ErrorData(f"{name} timeout exceeded" if name else "timed out", TIMEOUT, None, details)


def _application(raised: ApplicationError) -> ErrorData:
    parts = _details(raised)
    extra = _extra_of(parts[1]) if len(parts) == 2 else None
    if extra is not None:
        parts = parts[:1]
    details = ABSENT
    if len(parts) == 1:
        details = Raw(parts[0]) if parts[0] != NULL else ABSENT
    elif parts:
        details = Raw(b"[" + b",".join(parts) + b"]")
    retryable: bool | None = not raised.non_retryable
    message, context, stack = raised.message, "", None
    if extra is not None:
        message, context, stack = extra.message or message, extra.context, extra.stack
        retryable = None if extra.open else extra.retryable if extra.retryable is not None else retryable
    return ErrorData(message, raised.type or "", retryable, details, stack, context)


def _details(raised: ApplicationError) -> list[Json]:
    """The details as JSON: from the failure as it came, for decoded values have lost their exact form."""
    failure = raised.failure
    if isinstance(failure, Failure):
        found = list(failure.application_failure_info.details.payloads)
    else:
        found = [item.payload for item in raised.details if isinstance(item, RawValue)]
    texts: list[Json] = []
    for payload in found:
        try:
            texts.append(to_json(payload))
        except Error as error:
            texts.append(pack(error.message))
    return texts


def _extra_of(text: Json) -> _Extra | None:
    if not text.startswith(b'{"saros":"error"'):
        return None
    try:
        return msgspec.json.decode(text, type=_Extra)
    except msgspec.DecodeError:
        return None
