"""The slots of a worker that serves several task queues: each queue has its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import saros
from saros.insight import presence
from saros.insight.reasons import reason
from saros.interfaces.insight import ACTIVITY
from saros_cli import overview
from saros_testing import eventually

INDEX = """\
namespace: app
entries:
  - {name: main, kind: temporal.worker, task_queue: main}
  - name: small
    kind: temporal.worker
    task_queue: small
    worker_options: {max_concurrent_activity_execution_size: 1}
  - name: order
    kind: workflow.lua
    source: file://order.lua
    modules: [funcs]
    meta: {temporal: {workflow: {worker: app:main}}}
  - name: hold
    kind: function.lua
    source: file://hold.lua
    modules: [time]
    meta: {temporal: {activity: {worker: app:small}}}
"""


def test_a_full_queue_is_told_though_another_queue_of_its_worker_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.05)
    (tmp_path / "_index.yaml").write_text(INDEX)
    (tmp_path / "order.lua").write_text('return function() return require("funcs").call("app:hold") end')
    (tmp_path / "hold.lua").write_text('return function() require("time").sleep("1h") end')

    async def scenario() -> None:
        async with saros.open(tmp_path, backend="memory://") as app:
            orders = [await app.start("app:order", id=f"order-{number}") for number in (1, 2)]

            async def said() -> list[str]:
                queues, workers, now = await app.queues(), await app.workers(), app.clock.now()
                return [reason(await order.pending(), now, queues, workers=workers) for order in orders]

            async def full() -> bool:
                return any(each.endswith("; the slot of its worker is taken") for each in await said())

            await eventually(full, "the one that waits says that the slot is taken", 60)
            (worker,) = await app.workers()
            slots = {slot.task_queue: slot for slot in worker.slots if slot.kind == ACTIVITY}
            assert (slots["small"].used, slots["small"].total, slots["main"].used) == (1, 1, 0)
            assert "1 of 1 activity of small" in overview.slots_of(worker)
            found = await overview.waits_of(app, [await order.describe() for order in orders])
            assert any(each.endswith("the slot of its worker is taken") for each in found)
            for order in orders:
                await order.terminate()

    asyncio.run(scenario())
