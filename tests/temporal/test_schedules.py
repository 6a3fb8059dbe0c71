"""Schedule entries are Temporal's Schedules."""

from __future__ import annotations

import datetime as dt
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec, ScheduleState

from saros.model.execution import COMPLETED
from saros.model.timing import SECOND, Cron
from saros_temporal.client.schedules import calendars


def test_a_schedule_starts_workflows_and_is_updated(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path
) -> None:
    queue = f"schedules-{uuid.uuid4().hex[:8]}"
    name = f"tick-{uuid.uuid4().hex[:8]}"

    def app(every: str) -> Path:
        root = write_app(tmp_path / "app", queue, flow="return function(x) return x end")
        entry = f"  - {{name: {name}, kind: schedule, workflow: flow, every: {every}, input: {{n: 1}}}}\n"
        (root / "_index.yaml").write_text((root / "_index.yaml").read_text() + entry)
        return Path(root)

    async def scenario() -> Any:
        async with opener(app("1s")) as app_:

            async def done() -> list[Any]:
                found = app_.list(f"task_queue = '{queue}' and status = 'completed'")
                return [info async for info in found]

            first = (await until(done))[0]
            result = await app_.get(first.id, first.run_id).result(90)
        async with opener(app("1h")) as app_:
            handle = app_.backend.client.get_schedule_handle(f"saros:app:{name}")

            async def hourly() -> bool:
                spec = (await handle.describe()).schedule.spec
                return spec.intervals[0].every.total_seconds() == 3600

            await until(hourly)
            await handle.delete()
            return first, result

    first, result = run(scenario())
    assert (first.type, first.status, result) == ("app:flow", COMPLETED, {"n": 1})
    assert first.id.startswith(f"app:{name}-")


CRONS = (
    "*/30 * * * *",
    "30 2 * * *",
    "0 0 1,15 * 1",
    "30 2 28 3 *",
    "0 0 */2 * 1",
    "15 1-3 * * 5-7",
    "7 */2 * mar,apr,oct,nov *",
    "0 3 8-14 * *",
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
WINDOWS = ("2026-03-07T20:00", "2026-03-28T20:00", "2026-04-04T02:00", "2026-10-24T12:00", "2026-10-31T20:00")


@pytest.mark.parametrize("zone", ZONES)
def test_cron_means_the_same_on_temporal(
    run: Any, opener: Any, write_app: Any, tmp_path: Path, zone: str
) -> None:
    root = write_app(tmp_path / "app", flow="return function() end")

    async def theirs(client: Client, cron: Cron, name: str, windows: list[list[int]]) -> list[list[int]]:
        spec = ScheduleSpec(calendars=calendars(cron), time_zone_name=zone)
        start = ScheduleActionStartWorkflow("nobody", id="nobody", task_queue="nobody")
        handle = await client.create_schedule(name, Schedule(start, spec, state=ScheduleState(paused=True)))
        found = []
        for times in windows:
            request = ListScheduleMatchingTimesRequest(namespace=client.namespace, schedule_id=name)
            request.start_time.FromSeconds(times[0])
            request.end_time.FromSeconds(times[-1])
            answer = await client.workflow_service.list_schedule_matching_times(request)
            found.append([times[0], *(time.seconds for time in answer.start_time)])
        await handle.delete()
        return found

    def ours(cron: Cron, window: str) -> list[int]:
        times = [int(dt.datetime.fromisoformat(f"{window}Z").timestamp())]
        while len(times) < 20:
            times.append((cron.after(times[-1] * SECOND, zoneinfo.ZoneInfo(zone)) or 0) // SECOND)
        return times

    async def scenario() -> None:
        async with opener(root, workers=False) as app:
            for expression in CRONS:
                cron = Cron(expression)
                expected = [ours(cron, window) for window in WINDOWS]
                found = await theirs(app.backend.client, cron, f"cron-{uuid.uuid4().hex[:8]}", expected)
                assert found == expected, expression

    run(scenario())


def test_a_cron_workflow_takes_names_and_sunday_as_7(
    run: Any, opener: Any, write_app: Any, tmp_path: Path
) -> None:
    root = write_app(tmp_path / "app", flow="return function() end")

    async def scenario() -> None:
        async with opener(root, workers=False) as app:
            handle = await app.start(
                "app:flow", id=f"cron-{uuid.uuid4().hex[:8]}", options={"cron_schedule": "0 0 * JAN 5-7"}
            )
            await handle.terminate("seen")

    run(scenario())
