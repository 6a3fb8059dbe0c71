"""The metrics: their names, types and units. Those that Temporal's SDKs have as well are named and typed as there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

LATENCIES: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
"""Upper bounds of buckets, in seconds."""

Labels = Mapping[str, str]
Key = tuple[tuple[str, str], ...]
"""Sorted labels."""


class Metric(NamedTuple):
    """:param type: ``counter``, ``histogram`` (of seconds) or ``gauge``.
    :param labels: the names of its labels.
    """

    name: str
    type: str
    text: str
    labels: tuple[str, ...] = ()

    @property
    def exposed(self) -> tuple[str, ...]:
        """Return the names of its series in Prometheus."""
        if self.type == "counter":
            return (f"{self.name}_total",)
        if self.type == "histogram":
            return tuple(f"{self.name}_seconds_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


_TASK: Final = ("task_queue", "workflow_type")
_QUEUE: Final = ("task_queue", "task_type")
_SLOTS: Final = ("worker_type", "task_queue")

METRICS: Final = (
    Metric("saros_request", "counter", "Requests of clients.", ("operation",)),
    Metric(
        "saros_request_failure", "counter", "Requests of clients that failed.", ("operation", "error_kind")
    ),
    Metric("saros_request_latency", "histogram", "Duration of requests of clients.", ("operation",)),
    Metric("saros_workflow_task_taken", "counter", "Workflow tasks that workers have taken.", _TASK),
    Metric(
        "saros_workflow_task_execution_latency", "histogram", "Time from taking a task to its commit.", _TASK
    ),
    Metric(
        "saros_workflow_task_execution_failed",
        "counter",
        "Workflow tasks that failed and were parked.",
        _TASK,
    ),
    Metric("saros_workflow_task_replay_latency", "histogram", "Duration of replays.", _TASK),
    Metric("saros_replayed_events", "counter", "Events that were replayed.", _TASK),
    Metric(
        "saros_commit_refused",
        "counter",
        "Commits refused because another worker was first.",
        (*_TASK, "reason"),
    ),
    Metric("saros_workflow_completed", "counter", "Runs that completed.", _TASK),
    Metric("saros_workflow_failed", "counter", "Runs that failed.", _TASK),
    Metric("saros_workflow_canceled", "counter", "Runs that were cancelled.", _TASK),
    Metric("saros_workflow_terminated", "counter", "Runs that a client of this process terminated.", _TASK),
    Metric("saros_workflow_timed_out", "counter", "Runs that timed out.", _TASK),
    Metric("saros_workflow_continue_as_new", "counter", "Runs that continued as new.", _TASK),
    Metric(
        "saros_activity_schedule_to_start_latency",
        "histogram",
        "Time from scheduling an activity to its first attempt.",
        ("task_queue", "activity_type"),
    ),
    Metric(
        "saros_activity_execution_latency",
        "histogram",
        "Duration of attempts.",
        ("task_queue", "activity_type"),
    ),
    Metric(
        "saros_activity_execution_failed",
        "counter",
        "Attempts that failed.",
        ("task_queue", "activity_type", "error_kind"),
    ),
    Metric("saros_activity_running", "gauge", "Attempts in progress."),
    Metric(
        "saros_delivered",
        "counter",
        "Messages, starts and requests of workflows that were delivered.",
        ("operation",),
    ),
    Metric("saros_delivery_failure", "counter", "Deliveries that failed.", ("operation", "error_kind")),
    Metric(
        "saros_schedule_fired",
        "counter",
        "Workflows that schedules of this process have started.",
        ("schedule",),
    ),
    Metric(
        "saros_http_request_latency",
        "histogram",
        "Time from a request to the end of its response.",
        ("server", "method", "route", "status"),
    ),
    Metric("saros_sticky_cache_size", "gauge", "Live workflows that this worker keeps."),
    Metric("saros_sticky_cache_hit", "counter", "Workflow tasks that continued a cached workflow.", _TASK),
    Metric("saros_sticky_cache_miss", "counter", "Workflow tasks that replayed a history first.", _TASK),
    Metric(
        "saros_parked_executions",
        "gauge",
        "Runs whose last workflow task in this worker failed.",
        ("workflow_type",),
    ),
    Metric("saros_lua_instructions", "counter", "Instructions that code in Lua has used.", ("entry",)),
    Metric("saros_lua_memory", "gauge", "Bytes that live programs in Lua use.", ("entry",)),
    Metric("saros_worker_task_slots_used", "gauge", "Tasks in progress in this worker.", _SLOTS),
    Metric(
        "saros_worker_task_slots_available",
        "gauge",
        "Further attempts that this worker could run.",
        _SLOTS,
    ),
    Metric("saros_task_queue_depth", "gauge", "Tasks that no worker has yet.", _QUEUE),
    Metric("saros_task_queue_age", "gauge", "Time that the oldest such task has waited, in seconds.", _QUEUE),
    Metric("saros_task_queue_pollers", "gauge", "Workers that ask for tasks of the queue.", _QUEUE),
)
"""All metrics."""
