"""``schedule`` entries as Temporal's own Schedules.

Each worker process updates them when it starts. The id of a schedule is ``saros:`` and the entry's id. A
schedule whose entry was deleted stays, because another app may own it; `temporal schedule delete` removes it.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from saros.entries import Entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.insight import ScheduleRun
from saros.model import values
from saros.model.timing import Cron

from ..wire.payloads import to_payload
from .namespaces import Namespaces
from .target import seconds

log = logging.getLogger("saros.temporal")

_OVERLAP: Final = {
    "skip": ScheduleOverlapPolicy.SKIP,
    "buffer_one": ScheduleOverlapPolicy.BUFFER_ONE,
    "buffer_all": ScheduleOverlapPolicy.BUFFER_ALL,
    "cancel_other": ScheduleOverlapPolicy.CANCEL_OTHER,
    "terminate_other": ScheduleOverlapPolicy.TERMINATE_OTHER,
    "allow_all": ScheduleOverlapPolicy.ALLOW_ALL,
}


async def apply_schedules(namespaces: Namespaces, deployment: Deployment) -> None:
    """Create or update the schedules of an app, each in the namespace of its workflow's worker."""
    for entry in deployment.registry.of_kind("schedule"):
        if entry.get("lifecycle.auto_start") is not False:
            where = namespaces.of_worker(deployment.registry.worker_of(entry))
            try:
                await _apply(where.client, entry, schedule_of(entry, deployment))
            except RPCError as error:
                if error.status == RPCStatusCode.UNAVAILABLE:
                    raise
                log.error("the schedule %s could not be set up: %s", entry.id, error.message)


def schedule_id(entry: Entry) -> str:
    """Return the id of an entry's schedule."""
    return f"saros:{entry.id}"


def schedule_of(entry: Entry, deployment: Deployment) -> Schedule:
    """Return the schedule that an entry describes."""
    registry = deployment.registry
    target = deployment.registry.workflow(entry.data["workflow"])
    queue = registry.task_queue(registry.worker_of(entry))
    given: list[Any] = []
    if entry.get("input") is not None:
        given = [RawValue(to_payload(values.encode(entry.get("input"))))]
    cron, every = entry.get("cron"), entry.get("every")
    return Schedule(
        ScheduleActionStartWorkflow(target.type_name, args=given, id=entry.id, task_queue=queue),
        ScheduleSpec(
            calendars=calendars(Cron(cron)) if cron else [],
            intervals=[ScheduleIntervalSpec(timedelta(seconds=seconds(every)))] if every else [],
            time_zone_name=entry.get("timezone"),
        ),
        SchedulePolicy(overlap=_OVERLAP[entry.get("overlap", "skip")]),
    )


def calendars(cron: Cron) -> list[ScheduleCalendarSpec]:
    """Convert to calendars: two of them if a day may match either of the day fields."""
    either = [(cron.days, set(range(7))), (set(range(1, 32)), cron.weekdays)]
    return [
        ScheduleCalendarSpec(
            minute=_ranges(cron.minutes),
            hour=_ranges(cron.hours),
            day_of_month=_ranges(days),
            month=_ranges(cron.months),
            day_of_week=_ranges(weekdays),
        )
        for days, weekdays in ([(cron.days, cron.weekdays)] if cron.day_and else either)
    ]


def _ranges(values: set[int]) -> list[ScheduleRange]:
    return [ScheduleRange(value) for value in sorted(values)]


async def _apply(client: Client, entry: Entry, schedule: Schedule) -> None:
    try:
        await client.create_schedule(schedule_id(entry), schedule)
        return
    except ScheduleAlreadyRunningError:
        pass
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate | None:
        schedule.state = found.description.schedule.state  # a paused schedule stays paused
        return ScheduleUpdate(schedule)

    await client.get_schedule_handle(schedule_id(entry)).update(changed)
    log.info("the schedule %s is up to date", entry.id)


def run_of(result: ScheduleActionResult, status: str = "") -> ScheduleRun:
    """Return a run that a schedule has started.

    :param status: as the server knows it, some seconds late; older servers do not.
    """
    action = result.action
    if not isinstance(action, ScheduleActionExecutionStartWorkflow):
        raise TypeError("a schedule of Saros starts workflows, and nothing else")
    time = int(result.started_at.timestamp() * 1e6) * 1_000
    return ScheduleRun(action.workflow_id, action.first_execution_run_id, time, status)
