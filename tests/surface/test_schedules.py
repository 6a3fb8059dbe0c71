"""Schedules: `schedule` entries (§1)."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.engine import StoreBackend
from saros.model.clock import RealClock
from saros_services.schedules import Occurrences, name_of
from saros_testing import TestApp, eventually, lua_app

HOUR = 3600 * 10**9


def nanoseconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp()) * 10**9


class Given:
    """A minimal entry; the schedule only reads its keys."""

    def __init__(self, **keys: Any) -> None:
        self.get = keys.get


@pytest.mark.parametrize(
    ("keys", "now", "times"),
    [
        ({"every": "15m"}, "2026-01-01T10:07:00Z", ["2026-01-01T10:15:00Z", "2026-01-01T10:30:00Z"]),
        ({"every": 2000}, "2026-01-01T10:00:01Z", ["2026-01-01T10:00:02Z", "2026-01-01T10:00:04Z"]),
        ({"cron": "0 9 * * 1-5"}, "2026-01-02T09:00:00Z", ["2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"]),
        (
            {"cron": "0 9 * * *", "timezone": "America/New_York"},
            "2026-01-01T12:00:00Z",
            ["2026-01-01T14:00:00Z", "2026-01-02T14:00:00Z"],
        ),
    ],
)
def test_occurrences(keys: dict[str, Any], now: str, times: list[str]) -> None:
    occurrences = Occurrences(Given(**keys))  # type: ignore[arg-type]
    at, found = nanoseconds(now), []
    for _ in times:
        at = occurrences.after(at)
        found.append(name_of(at))
    assert found == times


@pytest.mark.parametrize("keys", [{"every": "15m"}, {"cron": "*/15 * * * *"}])
@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z"),
        ("2026-01-01T10:14:59Z", "2026-01-01T10:00:00Z"),
        ("2026-01-01T10:15:00Z", "2026-01-01T10:15:00Z"),
        ("2026-07-01T10:59:59Z", "2026-07-01T10:45:00Z"),
    ],
)
def test_the_newest_occurrence(keys: dict[str, Any], now: str, newest: str) -> None:
    occurrences = Occurrences(Given(**keys))  # type: ignore[arg-type]
    found = occurrences.newest(nanoseconds("2026-01-01T10:00:00Z"), nanoseconds(now))
    assert name_of(found) == newest


def schedule(overlap: str = "skip", **keys: Any) -> dict[str, Any]:
    return {"name": "tick", "kind": "schedule", "workflow": "main", "overlap": overlap, **keys}


def started(info: Any) -> int:
    """When a run started, in nanoseconds since 1970."""
    return round(info.start_time.timestamp() * 1_000_000) * 1000


async def runs(app: TestApp, count: int) -> list[Any]:
    """The first runs of the schedule, oldest first, once there are so many that have ended."""
    found: list[Any] = []

    async def ended() -> bool:
        nonlocal found
        found = [info async for info in app.app.list("SarosSchedule = 'app:tick'")]
        return sum(info.status != "running" for info in found) >= count

    await eventually(ended, f"{count} runs of the schedule have ended")
    return sorted(found, key=lambda info: info.start_time)[:count]


def run(path: Path, main: str, count: int, entry: dict[str, Any], **parts: Any) -> list[Any]:
    async def scenario() -> list[Any]:
        lua_app(path, workflows={"main": main}, entries=(entry,), **parts)
        async with TestApp(path) as app:
            return await runs(app, count)

    return asyncio.run(scenario())


def test_a_schedule_starts_its_workflow_with_its_input_at_each_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        lua_app(
            tmp_path,
            workflows={"main": "return input.n + 1"},
            entries=(schedule(every="1h", input={"n": 4}),),
        )
        async with TestApp(tmp_path) as app:
            first, second, third = await runs(app, 3)
            assert await app.app.get(first.id).result() == 5
            assert started(first) % HOUR == 0
            assert [started(second) - started(first), started(third) - started(second)] == [HOUR, HOUR]
            assert first.id == f"app:tick-{name_of(started(first))}"

    asyncio.run(scenario())


def test_a_schedule_without_auto_start_does_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        entry = schedule(every="1h", lifecycle={"auto_start": False})
        lua_app(tmp_path, workflows={"main": "return 1", "other": "time.sleep('5h')"}, entries=(entry,))
        async with TestApp(tmp_path) as app:
            await app.run("app:other")
            assert [info async for info in app.app.list("type = 'app:main'")] == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError,
        asyncio.CancelledError,  # of a task of the backend, not of the schedule
        lambda text: BaseExceptionGroup(text, [asyncio.CancelledError()]),
    ],
)
def test_an_error_of_any_kind_ends_no_schedule(
    failure: Callable[[str], BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """This holds for errors of the start and of the wait for the previous run; both are logged."""
    start, result = StoreBackend.start, StoreBackend.result
    failures = ["start", "result"]

    async def start_badly(self: StoreBackend, request: Any) -> Any:
        if "start" in failures:
            failures.remove("start")
            raise failure("broken start")
        return await start(self, request)

    async def result_badly(self: StoreBackend, *args: Any) -> Any:
        if "result" in failures:
            failures.remove("result")
            raise failure("broken result")
        return await result(self, *args)

    monkeypatch.setattr(StoreBackend, "start", start_badly)
    monkeypatch.setattr(StoreBackend, "result", result_badly)
    found = run(tmp_path, "time.sleep('90m')", 3, schedule("buffer_one", every="1h"))
    assert len(found) == 3
    assert not failures
    assert "broken start" in caplog.text
    assert "broken result" in caplog.text


def starts(found: list[Any]) -> list[float]:
    """Hours from the first start to each."""
    return [(started(info) - started(found[0])) / HOUR for info in found]


def test_skip_leaves_out_what_comes_while_a_run_goes_on(tmp_path: Path) -> None:
    found = run(tmp_path, "time.sleep('150m')", 2, schedule("skip", every="1h"))
    assert starts(found) == [0, 3]


def test_allow_all_starts_them_side_by_side(tmp_path: Path) -> None:
    found = run(tmp_path, "time.sleep('150m')", 3, schedule("allow_all", every="1h"))
    assert starts(found) == [0, 1, 2]


def test_buffer_one_starts_one_when_the_run_ends(tmp_path: Path) -> None:
    found = run(tmp_path, "time.sleep('210m')", 3, schedule("buffer_one", every="1h"))
    assert starts(found) == [0, 3.5, 7]


def test_buffer_all_starts_all_one_after_the_other(tmp_path: Path) -> None:
    found = run(tmp_path, "time.sleep('90m')", 4, schedule("buffer_all", every="1h"))
    assert starts(found) == [0, 1.5, 3, 4.5]
    assert [info.id[-20:] for info in found] == [name_of(started(found[0]) + n * HOUR) for n in range(4)]


def test_cancel_other_lets_the_run_clean_up(tmp_path: Path) -> None:
    main = (
        "process.events():receive() time.sleep('30m') "
        "return nil, errors.new{kind = errors.CANCELED, message = 'cleaned up'}"
    )
    found = run(tmp_path, main, 2, schedule("cancel_other", every="1h"))
    assert [info.status for info in found] == ["canceled", "canceled"]
    assert starts(found) == [0, 1.5]


def test_terminate_other_ends_the_run_at_once(tmp_path: Path) -> None:
    found = run(tmp_path, "time.sleep('5h')", 2, schedule("terminate_other", every="1h"))
    assert [info.status for info in found] == ["terminated", "terminated"]
    assert starts(found) == [0, 1]


def test_several_workers_start_each_occurrence_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        url = f"memory://{tmp_path.name}?time=skip"
        lua_app(tmp_path, workflows={"main": "return 1"}, entries=(schedule("allow_all", every="1h"),))
        async with TestApp(tmp_path, url) as app, TestApp(tmp_path, url), TestApp(tmp_path, url):
            found = await runs(app, 5)
        assert starts(found) == [0, 1, 2, 3, 4]

    asyncio.run(scenario())


def test_a_cron_schedule_runs_in_its_time_zone(tmp_path: Path) -> None:
    entry = schedule(cron="30 7 * * *", timezone="Asia/Kolkata")
    found = run(tmp_path, "return 1", 2, entry)
    assert [info.id[-10:] for info in found] == ["T02:00:00Z", "T02:00:00Z"]


@pytest.mark.parametrize("before", [0, 3 * HOUR])
def test_a_schedule_follows_a_clock_that_is_set(
    before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set forward, the newest of the occurrences that are jumped over starts; set back, what comes then."""
    real, offset = time.time_ns, before
    monkeypatch.setattr(time, "time_ns", lambda: real() + offset)
    monkeypatch.setattr(RealClock, "LOOK_NS", 20_000_000)
    every = "2s" if before else "1h"
    lua_app(tmp_path, workflows={"main": "return 1"}, entries=(schedule("allow_all", every=every),))

    async def scenario() -> None:
        nonlocal offset
        async with saros.open(tmp_path, workers=True, services=True) as app:

            async def started() -> list[str]:
                return [info.id async for info in app.list("SarosSchedule = 'app:tick'")]

            now = real()
            offset = 3 * HOUR - before
            due = now + offset
            newest = f"app:tick-{name_of(due // HOUR * HOUR)}"

            async def there() -> bool:
                ids = await started()
                return (
                    newest in ids if not before else any(id < f"app:tick-{name_of(now + HOUR)}" for id in ids)
                )

            await eventually(there, "the occurrence by the clock as it is now has started")
            assert before or await started() == [newest]

    asyncio.run(scenario())
