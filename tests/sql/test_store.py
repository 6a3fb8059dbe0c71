"""What the contract leaves to the store: time, retention, full disks."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_sql.database import boot
from saros_sql.options import parse
from saros_sql.store import SqlStore
from saros_testing import eventually


@contextlib.contextmanager
def files_limited(size: int) -> Iterator[None]:
    """Simulate a full disk: files of this process cannot grow beyond this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_loses_nothing(run: Any, client: Any, file: Path) -> None:
    """Refused writes are absent, acknowledged writes are kept, and work goes on once there is room."""

    async def main() -> None:
        acknowledged = []

        async def fill(app: Any) -> None:
            for number in range(1_000):
                await app.start("app:nap", "1h", "x" * 5_000, id=f"n{number}")
                acknowledged.append(f"n{number}")

        async with client() as app:
            with files_limited(400_000):
                with pytest.raises(saros.Error) as caught:
                    await fill(app)
                assert caught.value.kind == "Unavailable"
                assert acknowledged
            await app.start("app:nap", "1h", id="later")
            found = {each.id async for each in app.list()}
            assert found == {*acknowledged, "later"}

    run(main())


def rebooted(file: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Simulate a restart of the machine: the monotonic clock starts again from an unknown point."""
    before = boot.steady_ns()
    monkeypatch.setattr(boot, "boot_id", lambda: "another")
    monkeypatch.setattr(boot, "steady_ns", lambda: boot_clock() - before + 10**9)
    wall = time.time_ns
    monkeypatch.setattr(boot.time, "time_ns", lambda: wall() + int(seconds * 1e9))


boot_clock = boot.steady_ns


def test_timers_survive_a_restart_of_the_machine(
    run: Any, client: Any, app_path: Path, url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock tells how long the machine was off."""

    async def begin() -> None:
        async with saros.open(app_path, backend=url) as app:
            nap = await app.start("app:nap", "1h", id="nap")

            async def sleeps() -> bool:
                return len(await nap.history()) > 1

            await eventually(sleeps, "it sleeps")

    async def go_on() -> None:
        async with saros.open(app_path, backend=url) as app:
            assert await app.get("nap").result(90) == "slept"

    run(begin())
    rebooted(file, monkeypatch, seconds=3_600)
    run(go_on())


def test_no_timer_is_early_when_the_clock_is_set(
    run: Any, app_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            begun = time.monotonic()
            nap = await app.start("app:nap", "1500ms", id="nap")
            wall = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: wall() + 3_600 * 10**9)
            assert await nap.result(90) == "slept"
            assert 1.5 <= time.monotonic() - begun < 10

    run(main())


def test_closed_executions_are_forgotten_after_a_while(run: Any, app_path: Path, file: Path) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=f"sqlite:///{file}?retention=500ms") as app:
            await (await app.start("app:steps", 2, id="short")).result(90)
            await app.start("app:nap", "1h", id="long")

            async def gone() -> bool:
                return [each.id async for each in app.list()] == ["long"]

            await eventually(gone, "it is forgotten")
        with contextlib.closing(sqlite3.connect(file)) as raw:
            tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            with_runs = [
                table
                for table in tables
                if "run" in [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
            ]
            rest = {
                table: raw.execute(f"SELECT count(DISTINCT run) FROM {table}").fetchone()[0]
                for table in with_runs
            }
        assert len(with_runs) > 5
        assert all(number <= 1 for number in rest.values()), rest

    run(main())


def test_a_name_is_looked_up_after_it_was_freed(run: Any, url: str) -> None:
    """Whoever has just been told of the end of a process finds nothing under its name."""

    async def main() -> None:
        store = SqlStore(parse(url))
        await store.open()
        try:
            for _ in range(100):
                assert await store.register("ada", "@node|1")
                freed, found = await asyncio.gather(store.unregister("ada", "@node|1"), store.lookup("ada"))
                assert (freed, found) == (True, None)
        finally:
            await store.close()

    run(main())


def test_nothing_is_left_beside_the_file(run: Any, client: Callable[[], Any], file: Path) -> None:
    """The log and the sockets go with the last process."""

    async def main() -> None:
        async with client() as app:
            handle = await app.start("app:nap", "1h", id="nap")
            with pytest.raises(saros.Error, match="did not end"):
                await handle.result(0.1)
            assert file.with_name("shop.db-wake").is_dir()

    run(main())
    assert sorted(path.name for path in file.parent.glob("shop.db*")) == ["shop.db"]
