"""Insight: schedules (§14)."""

from __future__ import annotations

import contextlib
from typing import Any

from saros.model.errors import CONFLICT, NOT_FOUND, Error
from saros.model.execution import RUNNING
from saros.model.timing import SECOND

from ..suite import Case, behaviour, eventually, refused

WAITS_S = 45.0
SLACK_NS = 120 * SECOND
"""The most by which the clocks of the server and this machine may differ."""
SCHEDULED = "process.inbox():receive()"


@behaviour("§14", "a schedule can be paused, resumed and triggered; it shows its last runs and next times")
async def schedules(case: Case) -> None:
    plan = {"workflow": "app:main", "cron": "0 0 1 1 *"}
    app = await case.app(SCHEDULED, entries=({"name": "yearly", "kind": "schedule", **plan},))

    async def known() -> bool:
        return [each.id for each in await app.app.schedules()] == ["app:yearly"]

    async def told() -> Any:
        (found,) = await app.app.schedules()
        return found

    await eventually(known, "a worker has set the schedule up", WAITS_S)
    with case.still(app):
        first = await told()
        assert (first.workflow, first.paused, first.last) == ("app:main", None, [])
        assert first.next[0] > app.app.clock.now() - SLACK_NS
        await app.app.pause("app:yearly", "stocktaking")
        paused = (await told()).paused
        assert paused is not None
        assert paused.reason == "stocktaking"
        await app.app.resume("app:yearly")
        assert (await told()).paused is None
        id = await app.app.trigger("app:yearly")

        async def ran() -> bool:
            return [run.id for run in (await told()).last] == [id]

        await eventually(ran, "the schedule shows the triggered run", WAITS_S)
        await app.app.get(id).terminate()
    assert (await refused(app.app.pause("app:nonsense"))).kind == NOT_FOUND


@behaviour("§14", "what a schedule was triggered to start counts as a running workflow of the schedule")
async def triggered_runs_count(case: Case) -> None:
    plan = {"workflow": "app:main", "every": "1s", "overlap": "skip"}
    app = await case.app(SCHEDULED, entries=({"name": "often", "kind": "schedule", **plan},))

    async def runs() -> list[str]:
        return [run.id for each in await app.app.schedules() for run in each.last]

    async def begun() -> bool:
        return bool(await runs())

    await eventually(begun, "the schedule has started a run", WAITS_S)
    await app.app.pause("app:often")

    async def triggered() -> bool:
        for each in await runs():
            if (await app.app.get(each).describe()).status == RUNNING:
                await app.app.get(each).terminate()
        with contextlib.suppress(Error):  # a run that was due before the pause
            ids.append(await app.app.trigger("app:often"))
        return bool(ids)

    ids: list[str] = []
    await eventually(triggered, "a run is triggered", WAITS_S)
    error = await refused(app.app.trigger("app:often"))
    assert error.kind == CONFLICT
    assert ids[0] in error.message
    await app.app.resume("app:often")
    later = app.app.clock.now() + 3 * SECOND

    async def passed() -> bool:
        return app.app.clock.now() > later

    await eventually(passed, "three times of the schedule have passed", WAITS_S)
    assert (await runs())[0] == ids[0]
    await app.app.get(ids[0]).terminate()

    async def continues() -> bool:
        return (await runs())[0] != ids[0]

    await eventually(continues, "the schedule starts a run again", WAITS_S)
