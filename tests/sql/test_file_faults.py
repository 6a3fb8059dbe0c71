"""Processes that are killed in the middle of maintenance, and files that somebody else touches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import killed
import pytest

import saros
from saros.model.errors import ALREADY_EXISTS, INVALID, NOT_FOUND
from saros_sql.database import maintenance, place
from saros_sql.options import parse
from saros_testing import eventually


async def made(client: Callable[[], Any], id: str = "order-1") -> None:
    async with client() as app:
        await app.start("app:nap", "1h", id=id)


# --- kill -9 in the middle ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["migration", "backup", "trim"])
def test_maintenance_that_is_killed(run: Any, app_path: Path, url: str, file: Path, kind: str) -> None:
    """It is done as a whole, or not at all (see `killed.py`)."""

    async def filled() -> None:
        async with saros.open(app_path, backend=url) as app:
            orders = [await app.start("app:steps", 2, id=f"s{n}") for n in range(30)]
            for each in orders:
                await each.result(60)
            await app.start("app:nap", "1h", id="nap")

    run(filled())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, killed.__file__, kind, str(file)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert found.returncode == 0, found.stderr
    assert "times" in found.stdout


def test_two_backups_at_once_do_not_write_to_one_file(run: Any, client: Any, file: Path) -> None:
    """What is unfinished has a name of its own, and what has a name is not overwritten."""
    run(made(client))
    target = file.with_name("copy.db")
    file.chmod(0o640)
    with maintenance._unfinished(parse(f"sqlite:///{file}"), target) as other:
        maintenance.backup(parse(f"sqlite:///{file}"), target)
        assert other.stat().st_size == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    with pytest.raises(saros.Error) as caught:
        maintenance.backup(parse(f"sqlite:///{file}"), target)
    assert caught.value.kind == ALREADY_EXISTS
    assert sorted(path.name for path in file.parent.glob("*.db*")) == ["copy.db", "shop.db"]


def test_a_backup_to_a_full_disk(run: Any, client: Any, file: Path) -> None:
    """Nothing is left of it, and it is said which disk is full."""
    run(made(client))
    script = (
        "import resource, signal, sys; from saros_cli import main;"
        " signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        " sys.exit(main(['db', 'backup', *sys.argv[1:]]))"
    )
    target = file.with_name("copy.db")
    command = [sys.executable, "-c", script, f"sqlite:///{file}", str(target)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert found.returncode == 1
    assert f"error: the copy {target} of" in found.stderr
    assert not list(file.parent.glob("copy.db*"))


# --- the file in other hands --------------------------------------------------------------------


def test_a_second_opening_keeps_the_locks_of_the_first(run: Any, client: Any, file: Path) -> None:
    """POSIX drops a process's locks on a file when it closes any descriptor of it; another process that closes the
    database would then take itself for the last one, and delete the log that is in use."""
    other = "import sqlite3, sys; raw = sqlite3.connect(sys.argv[1]); raw.execute('SELECT 1 FROM runs'); raw.close()"

    async def main() -> None:
        async with client() as app:
            await made(client, "first")
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", other, str(file)], check=True)
            assert file.with_name("shop.db-wal").exists()
            await app.start("app:nap", "1h", id="second")

    run(main())


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_a_log_that_is_deleted(run: Any, client: Any, file: Path, ending: str) -> None:
    """Whoever opens the database next would have another log."""

    async def main() -> None:
        async with client() as app:
            await app.start("app:nap", "1h", id="order-1")
            os.unlink(f"{file}{ending}")
            with pytest.raises(saros.Error, match=r"the log of the database .* was deleted") as caught:
                await app.start("app:nap", "1h", id="order-2")
            assert caught.value.kind == NOT_FOUND

    run(main())


def test_a_migration_under_a_client(run: Any, client: Any, file: Path) -> None:
    """A client keeps nobody from migrating; it must not go on with the statements of the old schema."""

    async def main() -> None:
        async with client() as app:
            await app.start("app:nap", "1h", id="order-1")
            with contextlib.closing(sqlite3.connect(file)) as raw:
                raw.execute("PRAGMA user_version = 2")
            for request in (app.start("app:nap", "1h", id="order-2"), app.get("order-1").describe()):
                with pytest.raises(saros.Error, match="was migrated to schema 2 while it was open") as caught:
                    await request
                assert caught.value.kind == INVALID

    run(main())


def test_workers_end_with_one_clear_error(
    run: Any, app_path: Path, url: str, file: Path, caplog: Any
) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            await (await app.start("app:steps", 1)).result(60)
            os.truncate(file, 0)

            async def stopped() -> bool:
                return "the workers of this app have stopped" in caplog.text

            await eventually(stopped, "they have stopped")

    with pytest.raises(saros.Error, match="was deleted, emptied, moved or replaced"):
        run(main())
    assert "Traceback" not in caplog.text


def test_a_path_is_that_of_the_time_when_it_was_given(
    run: Any, app_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    async def main() -> None:
        async with saros.open(app_path, backend="sqlite:///shop.db", workers=False) as app:
            monkeypatch.chdir(tmp_path)
            await app.start("app:nap", "1h", id="order-1")

    run(main())
    assert (tmp_path / "here" / "shop.db").exists()
    assert not (tmp_path / "shop.db").exists()


def test_links_lead_to_one_database(run: Any, app_path: Path, url: str, file: Path, tmp_path: Path) -> None:
    """Processes wake each other, by whatever path they have opened it."""
    (tmp_path / "current.db").symlink_to(file)

    async def main() -> None:
        workers = saros.open(app_path, backend=f"sqlite:///{tmp_path}/current.db")
        async with workers, saros.open(app_path, backend=url, workers=False) as app:
            assert await (await app.start("app:steps", 1)).result(60) == 1
            assert len(os.listdir(tmp_path / "shop.db-wake")) == 2

    run(main())
    assert not (tmp_path / "current.db-wake").exists()


@pytest.mark.parametrize(
    "kind", ["pipe", "directory", "hard link", "loop", "long name", "long path", "mount"]
)
def test_what_cannot_be_a_database(
    run: Any, client: Any, file: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = file
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "directory":
            file.mkdir()
        case "hard link":
            run(made(client))
            os.link(file, file.with_name("other.db"))
        case "loop":
            file.symlink_to(file)
        case "long name":
            path = file.with_name("x" * 250)
        case "long path":
            path = file.parent / "/".join(["y" * 100] * 5) / "shop.db"
            path.parent.mkdir(parents=True)
        case "mount":
            run(made(client))
            monkeypatch.setattr(place, "mounts", lambda: {str(file): "ext4"})
    said = {
        "pipe": "a pipe or a socket",
        "directory": "is a directory",
        "hard link": "more than one hard link",
        "loop": "cannot be a database",
        "long name": "cannot be a database",
        "long path": "is longer than",
        "mount": "is mounted as a single file",
    }
    with pytest.raises(saros.Error, match=said[kind]) as caught:
        place.check_place(parse(f"sqlite:///{path}"))
    assert caught.value.kind == INVALID
