"""Supervised processes: `process.service` entries (§1)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, eventually, lua_app

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
            await logged(caplog, "does not restart after")

    asyncio.run(scenario())
    told = [r.getMessage() for r in caplog.records if r.name == "saros.services"]
    delays = [text.split("restarts in ")[1].split(" s")[0] for text in told if "restarts in" in text]
    assert delays == ["1", "3", "5", "5"]
    assert "does not restart after 4 restarts" in told[-1]
    assert "oops" in told[-1]


def test_a_process_that_returns_has_done_its_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        lua_app(tmp_path, processes={"once": "return 1"}, entries=(service("short", "once"),))
        async with TestApp(tmp_path):
            await logged(caplog, "its process returned")

    asyncio.run(scenario())
    assert not any("restarts in" in record.getMessage() for record in caplog.records)


def test_failures_are_counted_anew_after_a_long_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    restart = {"max_attempts": 2, "initial_delay": "1s", "max_delay": "10s"}

    async def scenario() -> None:
        lua_app(
            tmp_path,
            processes={"tires": "time.sleep('1m') error('tired')"},
            entries=(service("tireless", "tires", restart=restart),),
        )
        async with TestApp(tmp_path):
            await logged(caplog, "restarts in 1 s", 4)

    asyncio.run(scenario())
    assert not any("does not restart after" in record.getMessage() for record in caplog.records)


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


def _services(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "saros.services"]


def test_the_input_is_the_list_of_arguments(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        tells = "local a, b, c = ... print(a.x .. ' ' .. b .. ' ' .. tostring(c == nil))"
        entry = {**service("told", "tells"), "input": [{"x": 1}, "two"]}
        lua_app(tmp_path, processes={"tells": tells}, entries=(entry,))
        async with TestApp(tmp_path):
            await logged(caplog, "1 two true")

    asyncio.run(scenario())


def test_an_error_that_is_not_retryable_ends_a_service_and_what_depends_on_it_does_not_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        refuses = (
            "return nil, errors.new{kind = errors.INVALID, message = 'no such thing', retryable = false}"
        )
        entries = (
            service("refused", "refuses"),
            service("user", "waits", requires=["refused"]),
            service("last", "waits", depends_on=["user"]),
        )
        lua_app(tmp_path, processes={"refuses": refuses, "waits": WAITS}, entries=entries)
        async with TestApp(tmp_path):
            await logged(caplog, "app:last does not start")

    asyncio.run(scenario())
    told = _services(caplog)
    assert "app:refused is not restarted, because its error is not retryable: no such thing" in told
    assert "app:user does not start, because it depends on app:refused" in told
    assert "app:last does not start, because it depends on app:user" in told
    assert not any("restarts in" in text for text in told)


def test_a_service_starts_once_what_it_requires_has_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        entries = (service("user", "waits", requires=["slow"]), service("slow", "broken"))
        lua_app(tmp_path, processes={"broken": WAITS, "waits": WAITS}, entries=entries)
        good = (tmp_path / "broken.lua").read_text()
        (tmp_path / "broken.lua").write_text("return {")
        async with TestApp(tmp_path) as app:
            with app.hold_time():
                await logged(caplog, "app:slow failed; it restarts")
                assert not any("app:user started" in text for text in _services(caplog))
                (tmp_path / "broken.lua").write_text(good)
            await logged(caplog, "app:user started")

    asyncio.run(scenario())
    told = _services(caplog)
    assert told.index("app:slow started (app:broken)") < told.index("app:user started (app:waits)")


def test_failures_count_anew_after_the_stable_threshold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    restart = {"max_attempts": 2, "initial_delay": "1s"}

    async def scenario() -> None:
        processes = {"tires": "time.sleep('6s') error('tired')", "hasty": "time.sleep('4s') error('tired')"}
        entries = (
            service("steady", "tires", restart=restart),
            service("slower", "tires", restart=restart, stable_threshold="7s"),
            service("quick", "hasty", restart=restart),
        )
        lua_app(tmp_path, processes=processes, entries=entries)
        async with TestApp(tmp_path):
            await logged(caplog, "does not restart after", 2)
            await logged(caplog, "app:steady failed; it restarts in 1 s", 4)

    asyncio.run(scenario())
    lost = {text.split()[0] for text in _services(caplog) if "does not restart after" in text}
    assert lost == {"app:slower", "app:quick"}


def test_delays_vary_by_the_jitter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    restart = {"initial_delay": "10s", "backoff_factor": 1, "jitter": 0.5}

    async def scenario() -> None:
        lua_app(
            tmp_path, processes={"dies": "error('oops')"}, entries=(service("f", "dies", restart=restart),)
        )
        async with TestApp(tmp_path):
            await logged(caplog, "it restarts in", 10)

    asyncio.run(scenario())
    texts = [text for text in _services(caplog) if "restarts in" in text]
    delays = {float(text.split("restarts in ")[1].split(" s")[0]) for text in texts}
    assert len(delays) > 1
    assert all(5 <= delay <= 15 for delay in delays)


def test_a_start_that_takes_too_long_is_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        entries = (service("late", "waits", start_timeout="1us"),)
        lua_app(tmp_path, processes={"waits": WAITS}, entries=entries)
        async with TestApp(tmp_path, "memory://"):
            await logged(caplog, "app:late failed; it restarts")

    asyncio.run(scenario())
    assert any("its start took" in text for text in _services(caplog))


def test_services_stop_side_by_side_within_the_longest_stop_timeout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if every service ignores the request to stop, each in a chain gets its share of the time."""

    async def scenario() -> int:
        deaf = "local events = process.events() while true do events:receive() end"
        entries = (
            *(service(f"alone{n}", "deaf") for n in range(3)),
            service("first", "deaf"),
            service("second", "deaf", depends_on=["first"]),
            service("third", "deaf", depends_on=["second"], stop_timeout="1s"),
        )
        lua_app(tmp_path, processes={"deaf": deaf}, entries=entries)
        async with TestApp(tmp_path) as app:
            await logged(caplog, "app:third started")
            clock = app.app.clock
            began = clock.steady()
        return clock.steady() - began

    took = asyncio.run(scenario())
    assert 10e9 <= took < 12e9
    stops = [text.split()[0] for text in _services(caplog) if text.endswith("stopped")]
    chain = [name for name in stops if "alone" not in name]
    assert chain == ["app:third", "app:second", "app:first"]
    assert len(stops) == 6


def test_a_repaired_source_is_used_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        lua_app(tmp_path, processes={"broken": "return 1"}, entries=(service("repaired", "broken"),))
        good = (tmp_path / "broken.lua").read_text()
        (tmp_path / "broken.lua").write_text("return {")
        async with TestApp(tmp_path) as app:
            with app.hold_time():
                await logged(caplog, "it restarts in")
                (tmp_path / "broken.lua").write_text(good)
            await logged(caplog, "its process returned")

    asyncio.run(scenario())
