"""Supervised processes: `process.service` entries (§1)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from saros.testing import TestApp, eventually, lua_app

WAITS = "process.inbox():receive()"


def service(name: str, process: str, **lifecycle: Any) -> dict[str, Any]:
    return {"name": name, "kind": "process.service", "process": process, "lifecycle": lifecycle}


async def logged(caplog: pytest.LogCaptureFixture, text: str, count: int = 1) -> None:
    """Wait until a log record holds the text, so many times."""

    def told() -> bool:
        return sum(text in record.getMessage() for record in caplog.records) >= count

    await eventually(told, f"the log tells {text!r} {count} times")


@pytest.fixture(autouse=True)
def _all_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "saros")


def test_a_service_runs_its_process_under_its_own_name(tmp_path: Path) -> None:
    async def scenario() -> None:
        lua_app(
            tmp_path,
            processes={"echo": "while true do local m = process.inbox():receive() "
                       "local to, n = m:payload() process.send(to:data(), 'pong', n:data()) end"},
            functions={"asks": "process.send('app:echoes', 'ping', process.pid(), 7) "
                       "return process.inbox():receive():payload():data()"},
            entries=(service("echoes", "echo"),),
        )  # fmt: skip
        async with TestApp(tmp_path) as app:
            assert await app.call("app:asks") == 7

    asyncio.run(scenario())


def test_a_service_without_auto_start_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        finds = "local _, err = process.registry.lookup('app:lazy') return err:kind()"
        entries = (service("lazy", "waits", auto_start=False),)
        lua_app(tmp_path, processes={"waits": WAITS}, functions={"finds": finds}, entries=entries)
        async with TestApp(tmp_path) as app:
            assert await app.call("app:finds") == "NotFound"

    asyncio.run(scenario())


def test_a_failed_process_starts_again_with_growing_delays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    restart = {"max_attempts": 4, "initial_delay": "1s", "backoff_factor": 3, "max_delay": "5s"}

    async def scenario() -> None:
        lua_app(
            tmp_path,
            processes={"dies": "error('oops')"},
            entries=(service("fragile", "dies", restart=restart),),
        )
        async with TestApp(tmp_path):
            await logged(caplog, "given up")

    asyncio.run(scenario())
    told = [r.getMessage() for r in caplog.records if r.name == "saros.services"]
    delays = [text.split("again in ")[1].split(" s")[0] for text in told if "again in" in text]
    assert delays == ["1", "3", "5", "5"]
    assert "given up after 4 restarts" in told[-1]
    assert "oops" in told[-1]


def test_a_process_that_returns_has_done_its_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        lua_app(tmp_path, processes={"once": "return 1"}, entries=(service("short", "once"),))
        async with TestApp(tmp_path):
            await logged(caplog, "its process returned")

    asyncio.run(scenario())
    assert not any("again in" in record.getMessage() for record in caplog.records)


def test_failures_are_counted_anew_after_a_long_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    restart = {"max_attempts": 2, "initial_delay": "1s", "max_delay": "10s"}

    async def scenario() -> None:
        lua_app(
            tmp_path,
            processes={"tires": "time.sleep('1m') error('tired')"},
            entries=(service("tireless", "tires", restart=restart),),
        )
        async with TestApp(tmp_path):
            await logged(caplog, "starts again in 1 s", 4)

    asyncio.run(scenario())
    assert not any("given up" in record.getMessage() for record in caplog.records)


def test_services_start_after_what_they_depend_on_and_stop_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        entries = (
            service("third", "waits", depends_on=["second"]),
            service("second", "waits", depends_on=["app:first", "host"]),
            service("first", "waits"),
        )
        lua_app(tmp_path, processes={"waits": WAITS}, entries=entries)
        async with TestApp(tmp_path):
            await logged(caplog, "started", 3)

    asyncio.run(scenario())
    told = [r.getMessage().split(" (")[0] for r in caplog.records if r.name == "saros.services"]
    assert told == [
        "app:first started", "app:second started", "app:third started",
        "app:third stopped", "app:second stopped", "app:first stopped",
    ]  # fmt: skip


def test_a_service_may_clean_up_when_it_is_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        polite = "local e = process.events():receive() print('bye: ' .. e.kind .. ' ' .. e.reason)"
        lua_app(tmp_path, processes={"polite": polite}, entries=(service("tidy", "polite"),))
        async with TestApp(tmp_path):
            await logged(caplog, "app:tidy started")

    asyncio.run(scenario())
    assert any("bye: CANCEL the service stops" in record.getMessage() for record in caplog.records)


def test_a_service_that_does_not_end_is_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        stubborn = "while true do pcall(function() process.inbox():receive() end) end"
        lua_app(tmp_path, processes={"stubborn": stubborn}, entries=(service("deaf", "stubborn"),))
        async with TestApp(tmp_path):
            await logged(caplog, "app:deaf started")

    asyncio.run(scenario())
    assert any("app:deaf stopped" in record.getMessage() for record in caplog.records)


def test_a_repaired_source_is_used_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        lua_app(tmp_path, processes={"broken": "return 1"}, entries=(service("repaired", "broken"),))
        good = (tmp_path / "broken.lua").read_text()
        (tmp_path / "broken.lua").write_text("return {")
        async with TestApp(tmp_path) as app:
            with app.hold_time():
                await logged(caplog, "starts again")
                (tmp_path / "broken.lua").write_text(good)
            await logged(caplog, "its process returned")

    asyncio.run(scenario())
