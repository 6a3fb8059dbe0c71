"""Observers: plugins that hear what clients, workers and servers do, and what each log record is about.

`Deployment.observer` is None while nobody listens, and every place that tells something asks for that first: then
nothing is built and nothing is called. An observer runs within what it observes, so it must be quick, and must not
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
"""How a workflow task ends that has failed, and is to be tried again; others end as the results of `Store.commit`."""


class Closed(NamedTuple):
    """A run that has ended, once its end is stored."""

    id: str
    run_id: str
    type: str
    task_queue: str
    status: str


class Span(Protocol):
    """Something that has begun."""

    trace: str
    """The carrier that travels with what it causes, in the W3C format ``traceparent``; empty for none."""

    def route(self, pattern: str) -> None:
        """Tell where a request goes; patterns, not paths, so that clients cannot make names."""
        ...

    def end(self, error: str = "") -> None:
        """Tell that it has ended.

        :param error: the kind of its error, such as ``NotFound``; for a request its status; empty when it went well.
        """
        ...


class WorkflowTaskObserver(Protocol):
    """Hears of workflow tasks. Times are seconds."""

    def taken(self, queue: str, workflow: str) -> None:
        """A worker has taken a workflow task."""
        ...

    def cached(self, queue: str, workflow: str, hit: bool) -> None:
        """A worker still had the program of a run that goes on, or had not, and replays its history."""
        ...

    def replayed(self, queue: str, workflow: str, events: int, seconds: float) -> None:
        """A worker has replayed so many events of a history."""
        ...

    def task_ended(self, queue: str, workflow: str, result: str, seconds: float) -> None:
        """A workflow task has ended: `PARKED`, or as `saros.interfaces.store` says."""
        ...

    def closed(self, closed: Closed) -> None:
        """A run has ended."""
        ...


class Observer(WorkflowTaskObserver, Protocol):
    """What a plugin gives in `saros_observers`. Times are seconds."""

    def client(self, call: str, id: str, workflow: str, trace: str) -> Span:
        """A client, a function or a process begins to ask something of a workflow.

        :param call: ``start``, ``signal``, ``update``, ``query``, ``cancel`` or ``terminate``.
        :param workflow: its type, if that is known.
        :param trace: the carrier of who asks, if that is known.
        """
        ...

    def request(self, server: str, method: str, headers: Mapping[str, str]) -> Span:
        """A server has got a request."""
        ...

    def attempt(self, entry: str, scope: CallScope, trace: str, done: Done) -> Done:
        """An attempt of an activity begins; `scope.info` is what ``activity.info()`` tells.

        Gives what is to hear of its outcome in place of `done`, and may set `scope.trace`.

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
        """`value` gives what the metric `name` is now; another one with the same labels replaces it."""
        ...

    def metrics(self) -> tuple[str, bytes] | None:
        """The media type and the text of all metrics, for a scraper; None when there is none to serve."""
        ...

    async def close(self) -> None:
        """Write out what is still held."""
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
    """The fields of a log record about what runs in a scope, perhaps for an activity of a workflow."""
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

    :param info: what ``activity.info()`` tells.
    :param retry_in: seconds until the next attempt; None when none follows.
    """
    following = "no other follows" if retry_in is None else f"the next one follows in {retry_in:g} s"
    fields = {name: info[name] for name in FIELDS if name in info}
    fields |= {"entry": entry, "error_kind": error.kind, "error": one_line(error.message)}
    if retry_in is not None:
        fields["next_attempt_in"] = retry_in
    level = logging.DEBUG if error.kind == CANCELED else logging.WARNING  # it was asked to end
    log.log(
        level,
        "attempt %d of %s for %s failed: %s: %s; %s",
        *(info.get("attempt", 1), entry, info.get("workflow_id", ""), error.kind, fields["error"], following),
        extra=fields,
    )


def tell_closed(log: logging.Logger, about: Mapping[str, Any], status: str, error: ErrorData | None) -> None:
    """Write that a run has ended: a warning when it failed or took too long, else for who debugs."""
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
