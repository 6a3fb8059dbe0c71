"""Observers, which are notified of what clients, workers and servers do; and the fields of log records.

`Deployment.observer` is None if no plugin observes the app. Every call site checks that first, so an app without
observers pays nothing. An observer runs within the operation that it observes, so it must be quick, and must not
raise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from ..model.errors import CANCELED, ErrorData
from ..model.execution import FAILED, TIMED_OUT, Run
from ..model.text import one_line
from ..model.values import Json
from .runtime import CallScope

Done = Callable[[Json], None]

PARKED: Final = "parked"
"""The result of a workflow task that failed and will be retried; other results are those of `Store.commit`."""


class Closed(NamedTuple):
    """A run that has ended, once its end is stored.

    :param trace: the carrier of the trace that it belongs to; empty if the trace begins with it; None if unknown.
    """

    id: str
    run_id: str
    type: str
    task_queue: str
    status: str
    trace: str | None = None


class Span(Protocol):
    """An operation that has begun."""

    trace: str
    """The carrier for everything that the operation causes, in the W3C format ``traceparent``; empty for none."""

    def route(self, pattern: str) -> None:
        """Set the route of a request: a pattern, not a path, so that clients cannot create arbitrary names."""
        ...

    def end(self, error: str = "") -> None:
        """End the operation.

        :param error: the kind of its error, such as ``NotFound``; for a request, its status; empty for success.
        """
        ...


class WorkflowTaskObserver(Protocol):
    """Is notified of workflow tasks. Times are in seconds."""

    def taken(self, queue: str, workflow: str) -> None:
        """A worker has taken a workflow task."""
        ...

    def cached(self, queue: str, workflow: str, hit: bool) -> None:
        """A worker continues a run. With `hit` it still has the run's program; otherwise it replays the history."""
        ...

    def replayed(self, queue: str, workflow: str, events: int, seconds: float) -> None:
        """A worker has replayed this many events of a history."""
        ...

    def task_ended(self, queue: str, workflow: str, run_id: str, result: str, seconds: float) -> None:
        """A workflow task has ended; `result` is `PARKED` or a result of `Store.commit`."""
        ...

    def closed(self, closed: Closed) -> None:
        """A run has ended."""
        ...


class Observer(WorkflowTaskObserver, Protocol):
    """What a plugin supplies in `saros_observers`. Times are in seconds."""

    def client(self, call: str, id: str, workflow: str, trace: str) -> Span:
        """A client, a function or a process begins a request to a workflow.

        :param call: ``start``, ``signal``, ``update``, ``query``, ``cancel`` or ``terminate``.
        :param workflow: the workflow's type, if known.
        :param trace: the carrier of the caller, if known.
        """
        ...

    def handed(self, workflow: str, trace: str, parent: str = "") -> str:
        """Return the carrier that a run begins with.

        :param workflow: its type.
        :param trace: that of the client which starts it, or that with which its parent began.
        :param parent: the run whose child it is.
        """
        ...

    def request(self, server: str, method: str, headers: Mapping[str, str]) -> Span:
        """A server has received a request."""
        ...

    def attempt(self, entry: str, scope: CallScope, trace: str, done: Done) -> Done:
        """An attempt of an activity begins; `scope.info` is what ``activity.info()`` returns.

        Returns a callback that replaces `done` and must call it. May set `scope.span`.

        :param trace: the carrier of the run that scheduled it (see `Run.trace`).
        """
        ...

    def delivered(self, op: str, error: str) -> None:
        """A message, a start or a request of a workflow has been delivered, or has failed with an error kind."""
        ...

    def fired(self, schedule: str) -> None:
        """A schedule has started its workflow."""
        ...

    def measure(self, name: str, labels: Mapping[str, str], value: Callable[[], float]) -> None:
        """Register a function that returns the current value of a metric, in place of one with the same labels."""
        ...

    def served(self) -> None:
        """From now on, a server in this process offers `metrics` to scrapers."""
        ...

    def metrics(self) -> tuple[str, bytes] | None:
        """Return the media type and the text of all metrics, for a scraper; None if metrics are not served."""
        ...

    async def close(self) -> None:
        """Export what is still pending."""
        ...


# --- logs -----------------------------------------------------------------------------------------

FIELDS: Final = (
    "workflow_id", "run_id", "workflow_type", "entry", "attempt", "activity_id", "pid",
    "error_kind", "error", "next_attempt_in",
)  # fmt: skip
"""The attributes that a log record of Saros may have, and their names in JSON, in that order."""


def about_run(run: Run) -> dict[str, Any]:
    """The fields of a log record about a run."""
    return {
        "workflow_id": run.id,
        "run_id": run.run_id,
        "workflow_type": run.type,
        "entry": run.entry,
        "attempt": run.attempt,
    }


def about_call(scope: CallScope, entry: str) -> dict[str, Any]:
    """The fields of a log record about code that runs in a scope, which may belong to an activity of a workflow."""
    found: dict[str, Any] = {"entry": entry, "pid": scope.pid}
    info = scope.lease_info
    for name in ("workflow_id", "run_id", "workflow_type", "attempt", "activity_id"):
        if name in info:
            found[name] = info[name]
    return found


def tell_failure(
    log: logging.Logger, entry: str, info: Mapping[str, Any], error: ErrorData, retry_in: float | None
) -> None:
    """Warn that an attempt of an activity has failed.

    :param info: what ``activity.info()`` returns.
    :param retry_in: seconds until the next attempt; None if none follows.
    """
    following = "no further attempt" if retry_in is None else f"next attempt in {retry_in:g} s"
    fields = {name: info[name] for name in FIELDS if name in info}
    fields |= {"entry": entry, "error_kind": error.kind, "error": one_line(error.message)}
    if retry_in is not None:
        fields["next_attempt_in"] = retry_in
    level = logging.DEBUG if error.kind == CANCELED else logging.WARNING  # its cancellation was requested
    log.log(
        level,
        "attempt %d of %s for %s failed: %s: %s; %s",
        *(info.get("attempt", 1), entry, info.get("workflow_id", ""), error.kind, fields["error"], following),
        extra=fields,
    )


def tell_closed(log: logging.Logger, about: Mapping[str, Any], status: str, error: ErrorData | None) -> None:
    """Log that a run has ended: as a warning if it failed or timed out, otherwise at level debug."""
    level = logging.WARNING if status in (FAILED, TIMED_OUT) else logging.DEBUG
    if not log.isEnabledFor(level):
        return
    fields = {**about}
    text = ""
    if error is not None:
        fields |= {"error_kind": error.kind, "error": one_line(error.message)}
        text = f": {error.kind}: {fields['error']}"
    log.log(
        level, "%s %s has ended as %s%s", about["entry"], about["workflow_id"], status, text, extra=fields
    )
