"""Events that end a run or a workflow task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from saros.model import execution

CLOSED: Final = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: execution.COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: execution.FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: execution.CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: execution.TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: execution.TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: execution.CONTINUED,
}


class Problem(NamedTuple):
    """Why a workflow task failed, and when it did for the first time (in nanoseconds since 1970)."""

    text: str
    since: int


ONLY_FIRST: Final = "if it has failed since then, only the logs of workers tell why"


def problem_of(events: Sequence[HistoryEvent]) -> Problem | None:
    """Return why the last workflow task failed; the events are newest first.

    The server records only the first of several failures in a row.
    """
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            text = event.workflow_task_failed_event_attributes.failure.message
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            text = f"the workflow task timed out: no worker finished it in time; {ONLY_FIRST}"
        else:
            continue
        return Problem(text, event.event_time.ToNanoseconds())
    return None


def status_of(event: HistoryEvent) -> tuple[str, str]:
    """Return the status of a run that ends with this event, and the run that follows it."""
    status = CLOSED.get(event.event_type, execution.RUNNING)
    if status == execution.RUNNING:
        return execution.RUNNING, ""
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    return status, getattr(attributes, "new_execution_run_id", "")
