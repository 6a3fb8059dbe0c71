"""``saros db``: info, backup, vacuum, migrate."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_cli import main
from saros_sql.database import maintenance, opening, sqlite


@pytest.fixture
def shop(run: Any, client: Callable[[], Any], file: Path) -> str:
    """A database with an execution."""

    async def start() -> None:
        async with client() as app:
            await app.start("app:nap", "1h", id="order-1")

    run(start())
    return f"sqlite:///{file}"


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["db", *args])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_info(shop: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "info", shop, "--check", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["executions"] == {"running": 1}
    assert found["waiting"]["workflow tasks"] == 1
    assert found["damage"] == []
    assert found["path"] == str(file)
    assert "running         1\n" in said(capsys, "info", shop)[1]


@pytest.mark.parametrize("verb", ["info", "vacuum", "migrate"])
def test_no_database(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command does not create one."""
    code, _, err = said(capsys, verb, f"sqlite:///{tmp_path}/nothing.db")
    assert code != 0
    assert "there is no database" in err
    assert not (tmp_path / "nothing.db").exists()


def test_a_backup_while_workers_write(
    run: Any, app_path: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The backup is a database that continues from that moment."""
    target = tmp_path / "backup.db"

    async def copied() -> None:
        async with saros.open(app_path, backend=url) as app:
            orders = [await app.start("app:steps", 20, id=f"s{n}") for n in range(10)]
            assert await asyncio.to_thread(main, ["db", "backup", url, str(target)]) == 0
            await asyncio.gather(*(each.result(60) for each in orders))

    async def gone_on() -> None:
        async with saros.open(app_path, backend=f"sqlite:///{target}?lease=1s") as app:
            for number in range(10):
                assert await app.get(f"s{number}").result(60) == sum(i * i for i in range(1, 21))

    run(copied())
    run(gone_on())
    capsys.readouterr()
    code, _, err = said(capsys, "backup", url, str(target))
    assert code != 0
    assert "exists already" in err


def test_vacuum(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "vacuum", shop)
    assert code == 0
    assert "bytes after" in out


def test_migrate(
    shop: str,
    run: Any,
    client: Any,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An older schema is refused until it is migrated; a migration that fails changes nothing."""
    assert "nothing to do" in said(capsys, "migrate", shop)[1]
    for module in (maintenance, opening, sqlite):
        monkeypatch.setattr(module, "VERSION", 2)

    async def start() -> None:
        async with client() as app:
            await app.start("app:nap", "1h", id="order-2")

    with pytest.raises(saros.Error, match="schema 1, and this version of Saros needs 2"):
        run(start())
    broken = "CREATE TABLE extra (a);\nCREATE TABLE runs (a);\n"
    monkeypatch.setattr(maintenance, "MIGRATIONS", {1: broken})
    assert said(capsys, "migrate", shop)[0] != 0
    with contextlib.closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)
    monkeypatch.setattr(maintenance, "MIGRATIONS", {1: "CREATE TABLE extra (a);\n"})
    assert "schema 1 became 2" in said(capsys, "migrate", shop)[1]
    run(start())


def test_no_migration_while_workers_run(
    run: Any, app_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=url):
            monkeypatch.setattr(maintenance, "VERSION", 2)
            with pytest.raises(saros.Error, match="is in use by 1 process"):
                await asyncio.to_thread(maintenance.migrate, opening_options(url))

    run(main())


def opening_options(url: str) -> Any:
    from saros_sql.options import parse

    return parse(url)
