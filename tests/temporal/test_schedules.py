"""Schedule entries are Temporal's Schedules."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from saros.execution import COMPLETED


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
            result = await app_.get(first.id, first.run_id).result(10)
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
    assert first.id.startswith(f"app-{name}")
