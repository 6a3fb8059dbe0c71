"""What is refused when a database is opened, and what happens to one that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.background import Job
from saros.model.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE
from saros_sql import dialects
from saros_sql.database import place
from saros_sql.database.opening import connect
from saros_sql.options import parse
from saros_testing import eventually


async def made(client: Callable[[], Any]) -> None:
    async with client() as app:
        await app.start("app:nap", "1h", id="order-1")


def refused(run: Any, client: Callable[[], Any], kind: str) -> str:
    async def main() -> None:
        with pytest.raises(saros.Error) as caught:
            await made(client)
        assert caught.value.kind == kind
        said.append(f"{caught.value} {caught.value.hint or ''}")

    said: list[str] = []
    run(main())
    assert "\n" not in said[0]
    return said[0]


def test_a_file_of_something_else(run: Any, client: Any, file: Path) -> None:
    file.write_text("not a database, but a text that is long enough to be taken for one\n" * 20)
    assert "is not a SQLite database" in refused(run, client, INVALID)
    assert file.read_text().startswith("not a database")


def test_the_database_of_another_program(run: Any, client: Any, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE notes (text)")
        other.commit()
    before = file.read_bytes()
    assert "another program" in refused(run, client, INVALID)
    assert file.read_bytes() == before


def test_a_newer_schema(run: Any, client: Any, file: Path) -> None:
    run(made(client))
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA user_version = 99")
    assert "schema 99, and this version" in refused(run, client, INVALID)


def test_no_directory(run: Any, app_path: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/shop.db"
    assert "no directory" in refused(run, lambda: saros.open(app_path, backend=url, workers=False), NOT_FOUND)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file(run: Any, client: Any, file: Path) -> None:
    run(made(client))
    file.chmod(0o400)
    assert "no permission to write" in refused(run, client, PERMISSION_DENIED)


def test_a_network_file_system(run: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "mounts", lambda: {"/": "nfs4"})
    assert "network file system" in refused(run, client, INVALID)


def test_the_file_system_of_a_directory_is_known(tmp_path: Path) -> None:
    assert place.filesystem("/proc", place.mounts()) in ("proc", "")
    assert place.filesystem(str(tmp_path), place.mounts()) not in place.NETWORK


def test_a_damaged_file(run: Any, client: Any, file: Path) -> None:
    run(made(client))
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(os.urandom(file.stat().st_size - 4096))
    said = refused(run, client, INVALID)
    assert "it is damaged" in said
    assert "saros db info --check" in said


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_worker_ends_when_its_file_is_gone(
    run: Any, client: Any, worker: Callable[..., Any], file: Path, tmp_path: Path, how: str
) -> None:
    """Anything that it wrote after that would be lost."""
    log = tmp_path / "worker0.log"

    async def stopped() -> bool:
        return "the workers of this app have stopped" in log.read_text()

    async def main() -> None:
        await made(client)
        one = worker(log=True).ready()
        os.unlink(file)
        if how == "replaced":
            await made(client)
        await eventually(stopped, "it has stopped")
        assert one.end(signal.SIGTERM) == 1

    run(main())
    assert "was deleted, emptied, moved or replaced" in log.read_text()


def test_a_client_is_told_when_its_file_is_gone(run: Any, client: Any, file: Path) -> None:
    async def main() -> None:
        async with client() as app:
            await app.start("app:nap", "1h", id="order-1")
            os.unlink(file)
            with pytest.raises(saros.Error, match="emptied, moved or replaced") as caught:
                await app.start("app:nap", "1h", id="order-2")
            assert caught.value.kind == NOT_FOUND

    run(main())
    assert not file.exists()


def test_another_program_that_keeps_the_file_locked(
    run: Any, app_path: Path, file: Path, client: Any
) -> None:
    async def main() -> None:
        await made(client)
        async with saros.open(app_path, backend=f"sqlite:///{file}?busy=200ms", workers=False) as app:
            with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(saros.Error, match="kept it locked") as caught:
                    await app.start("app:nap", "1h", id="order-2")
                assert caught.value.kind == UNAVAILABLE
                other.execute("ROLLBACK")
            await app.start("app:nap", "1h", id="order-2")

    run(main())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://shop.db", "path of the file is missing"),
        ("sqlite://", "path of the file is missing"),
        ("sqlite:///shop.db?lease=1ms", "lease is too short"),
        ("sqlite:///shop.db?synchronous=off", "full or normal"),
        ("sqlite:///shop.db?retension=3d", "did you mean retention"),
        ("sqlite:///shop.db?payload=1", "payload"),
        ("sqlite:///shop.db?lease=1s&lease=2s", "lease is given twice"),
        ("sqlite:///:memory:", "has to be a file"),
        ("redis://localhost", "not the URL of a SQLite or PostgreSQL database"),
    ],
)
def test_urls_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(saros.Error, match=said) as caught:
        parse(url)
    assert caught.value.kind == INVALID


def test_urls() -> None:
    assert parse("sqlite:///shop.db").path == os.path.join(os.getcwd(), "shop.db")
    options = parse("sqlite:////var/lib/a%20shop.db?synchronous=normal&retention=30d")
    assert (options.path, options.full) == ("/var/lib/a shop.db", False)
    assert options.retention == 30 * 86_400 * 10**9


@pytest.mark.parametrize("reader", ["refused", "cancelled"])
def test_an_opening_that_fails_half_way_closes_what_is_open(
    run: Any, client: Any, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    """One of the two connections is there when the other is refused, or when the caller gives up."""

    def second(*args: Any, reads: bool, **kwargs: Any) -> Any:
        if reads:
            asked.set()
            assert answer.wait(60)
            if reader == "refused":
                raise saros.Error("no more connections", UNAVAILABLE)
        return connect(*args, reads=reads, **kwargs)

    asked, answer = threading.Event(), threading.Event()
    monkeypatch.setattr(dialects, "connect", second)

    async def scenario() -> None:
        attempt = Job(made(client), "an opening")
        await asyncio.to_thread(asked.wait, 60)
        if reader == "cancelled":
            attempt.cancel()
        answer.set()
        await asyncio.wait({attempt.task})
        if reader == "cancelled":
            assert attempt.cancelled()
        else:
            assert "no more connections" in str(attempt.failure())
        assert not [each for each in threading.enumerate() if each.name.startswith("saros-sql-")]

    run(scenario())
