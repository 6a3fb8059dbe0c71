"""Random programs on random schedules of messages, cancels, lost caches and workers that come and go.

The programs are the same on every run. ``MODEL_PROGRAMS=5000 pytest tests/model`` tries that many others, and
shrinks a scenario that breaks a law to the smallest one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import saros
from saros.engine import StoreBackend
from saros.engine import local_activities as local

from .laws import check_histories, check_log, check_messages, children
from .programs import SCENARIOS, Happening, Op, Scenario, count, named

APP = Path(__file__).parent / "app"
MORE = int(os.environ.get("MODEL_PROGRAMS", "0"))
LIMIT_S = 10
NUMBERS = itertools.count(1)


def sizes(programs: int) -> settings:
    """Return settings for this many programs: the same ones on every run, unless `MODEL_PROGRAMS` asks for more."""
    return settings(
        max_examples=MORE or programs,
        derandomize=not MORE,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if MORE else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make workflow tasks wait so briefly for their local activities that many outlive the task."""
    monkeypatch.setattr(local, "PATIENCE_S", 0.01)


class Play:
    """One scenario: the executions of its programs, and two openings of the app, each with or without workers."""

    def __init__(self, first: saros.App, second: saros.App, scenario: Scenario) -> None:
        self.openings = first, second
        self.scenario = scenario
        self.programs = [named(ops, f"p{number}") for number, ops in enumerate(scenario.programs)]
        self.handles: list[saros.Handle] = []
        self.sent: list[Counter[str]] = [Counter() for _ in self.programs]
        self.cancelled = [False for _ in self.programs]

    async def run(self) -> int:
        first, second = self.openings
        for number, ops in enumerate(self.programs):
            self.handles.append(await first.start("app:main", {"ops": ops}, id=f"p{number}"))
        for happening in self.scenario.happenings:
            await self.happens(happening)
        first.start_workers()
        for handle in self.handles:
            await handle.signal("end", {})
        for number, handle in enumerate(self.handles):
            await self.check(number, await self.ended(handle))
        return await check_histories(second)

    async def happens(self, happening: Happening) -> None:
        first, second = self.openings
        who = happening.who % len(self.handles)
        handle = self.handles[who]
        match happening.what:
            case "signal":
                sender = f"sender {happening.how}"
                self.sent[who][sender] += 1
                await handle.signal("note", {"s": sender, "n": self.sent[who][sender]})
            case "cancel":
                self.cancelled[who] = True
                await handle.cancel()
            case "forget":
                for opened in self.openings:
                    assert isinstance(opened.backend, StoreBackend)
                    if opened.backend.workflow_worker is not None:
                        opened.backend.workflow_worker.drop_all()
            case "start":
                first.start_workers()
            case "stop":
                await first.stop_workers()
            case "join":
                second.start_workers()
            case "leave":
                await second.stop_workers()
            case "pause":
                await asyncio.sleep(happening.how / 1000)
            case "query":
                await handle.stack()  # the history so far replays; a query would wait, perhaps for no worker
        await asyncio.sleep(0)

    async def ended(self, handle: saros.Handle) -> Any:
        """Return the result.

        :raises AssertionError: if it does not come; names the open runs and their last events.
        """
        try:
            return await self.openings[1].get(handle.id).result(LIMIT_S)
        except saros.Error as error:
            open_runs = [
                f"{info.id} {info.problem or ''}" async for info in self.openings[1].list(status="running")
            ]
            lines = [
                f"{id}: {line.number} {line.name} {line.summary}"
                for id in {run.split()[0] for run in open_runs}
                for line in (await self.openings[1].get(id).history())[-12:]
            ]
            raise AssertionError("\n".join([f"{error}; running: {open_runs}", *lines])) from error

    async def check(self, number: int, result: dict[str, Any]) -> None:
        ops: list[Op] = self.programs[number]
        cancelled = self.cancelled[number]
        check_log(ops, result, cancelled)
        check_messages(result["got"], self.sent[number], children(ops, result), cancelled)
        # The answer of a query comes from a replay, the result from live code.
        assert await self.openings[1].get(self.handles[number].id).query("state") == result


async def play(scenario: Scenario, url: str) -> int:
    async with (
        asyncio.timeout(LIMIT_S + 10),
        saros.open(APP, url) as first,
        saros.open(APP, url, workers=False) as second,
    ):
        return await Play(first, second, scenario).run()


def tried(counts: Counter[str], what: str, scenarios: int, events: int) -> str:
    kinds = ", ".join(f"{number} {name}" for name, number in counts.most_common())
    return f"{what}: {scenarios} seeds, {counts.total()} operations ({kinds}), {events} events of history"


def check(url: str, programs: int, record_property: Any) -> None:
    counts: Counter[str] = Counter()
    scenarios = events = 0

    @sizes(programs)
    @given(scenario=SCENARIOS)
    def plays(scenario: Scenario) -> None:
        nonlocal scenarios, events
        events += asyncio.run(play(scenario, url.format(next(NUMBERS))))
        scenarios += 1
        counts.update(count(scenario))

    try:
        plays()
    finally:
        record_property("model", tried(counts, url.partition(":")[0], scenarios, events))
    assert scenarios >= programs


def test_in_memory(record_property: Any) -> None:
    check("memory://model-{}?time=skip", 150, record_property)


def test_on_redis(redis_port: int, record_property: Any) -> None:
    check(f"redis://localhost:{redis_port}/0?lease=60s&prefix=model-{{}}", 40, record_property)


def test_on_redis_with_partitions(redis_port: int, record_property: Any) -> None:
    check(f"redis://localhost:{redis_port}/0?lease=60s&partitions=3&prefix=parted-{{}}", 20, record_property)
