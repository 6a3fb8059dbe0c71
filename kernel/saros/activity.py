"""The activity API for Python functions, like ``require("activity")`` in Lua.

from saros import activity

def charge(order):
    activity.heartbeat({"step": 1})
    if activity.is_canceled(): ...
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .interfaces import runtime as scope
from .model import values
from .model.errors import INVALID, Error


class Info(NamedTuple):
    """`scheduled_time` is in nanoseconds since 1970; `heartbeat_details` is what the last attempt recorded."""

    activity_id: str
    attempt: int
    workflow_id: str
    run_id: str
    workflow_type: str
    task_queue: str
    scheduled_time: int
    heartbeat_details: Any = None


def info() -> Info:
    """Return information about the current attempt.

    :raises Error: INVALID outside of an activity.
    """
    found = _scope().info
    if not found:
        raise Error(
            "this function was not called by a workflow, so it has no activity info", INVALID, retryable=False
        )
    details = found.get("heartbeat_details")
    known = {name: found.get(name) for name in Info._fields}
    known["heartbeat_details"] = None if details is None else values.decode(details)
    return Info(**known)  # type: ignore[arg-type]


def heartbeat(details: Any = None) -> None:
    """Report that this attempt is alive; a later attempt finds `details` in its info. Callable from any thread.

    :raises Error: INVALID outside of an activity, or for details that are not data.
    """
    current = _scope()
    if current.heartbeat is None or not current.info:
        raise Error("only an activity has a heartbeat", INVALID, retryable=False)
    current.heartbeat(values.encode(details))


def is_canceled() -> bool:
    """Return whether the call was cancelled; on other workers, a heartbeat brings the news."""
    return _scope().canceled


def context() -> dict[str, Any]:
    """Return the context values that the caller passed on, like ``ctx.all()`` in Lua."""
    return dict(_scope().context)


def _scope() -> scope.CallScope:
    found = scope.current.get()
    if found is None:
        raise Error("this is only known inside a function that Saros called", INVALID, retryable=False)
    return found
