"""PostgreSQL: what is refused, several processes, ``saros db``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from servers import PREFIXES, PostgresServer, free_port

import saros
from saros.model.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE
from saros_cli import main
from saros_sql.database import maintenance as steps_of
from saros_sql.options import parse
from saros_sql.postgres import maintenance, opening
from saros_testing import eventually


@pytest.fixture
def url(postgresql_url: str) -> str:
    return f"{postgresql_url}&lease=1s&attempts=1000"


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


async def made(app_path: Path, url: str) -> None:
    async with saros.open(app_path, backend=url, workers=False) as app:
        await app.start("app:nap", "1h", id="order-1")


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(parse(url).server, autocommit=True) as raw:
        for statement in statements:
            raw.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
def refused(run: Any, app_path: Path) -> Callable[[str, str], str]:
    """What is said when a URL is refused with that kind."""

    def refuse(url: str, kind: str) -> str:
        said: list[str] = []

        async def work() -> None:
            with pytest.raises(saros.Error) as caught:
                await made(app_path, url)
            assert caught.value.kind == kind, caught.value
            said.append(f"{caught.value} {caught.value.hint or ''}")

        run(work())
        assert "\n" not in said[0]
        return said[0]

    return refuse


# --- refusals -----------------------------------------------------------------------------------


def test_tables_of_another_program(url: str, refused: Any) -> None:
    schema = parse(url).schema
    execute(url, f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.notes (line TEXT)")
    assert "tables of another program" in refused(url, INVALID)
    execute(url, f"CREATE TABLE {schema}.saros_schema (line TEXT)")
    assert "tables of another program" in refused(url, INVALID)


def test_a_newer_schema(run: Any, app_path: Path, url: str, refused: Any) -> None:
    run(made(app_path, url))
    execute(url, f"UPDATE {parse(url).schema}.saros_schema SET version = 99")
    assert "has version 99, and this version of Saros supports only" in refused(url, INVALID)


def test_a_server_that_is_down(refused: Any) -> None:
    assert "cannot be reached" in refused(f"postgresql://me:secret@127.0.0.1:{free_port()}/shop", UNAVAILABLE)


def test_no_such_database(url: str, refused: Any) -> None:
    assert "no such database" in refused(url.replace("/postgres?", "/nowhere?"), NOT_FOUND)


def test_a_wrong_password_is_not_told(postgres_server: PostgresServer, refused: Any) -> None:
    postgres_server.protect("guest", "right")
    url = f"postgresql://guest:wr0ngsecret@127.0.0.1:{postgres_server.port}/postgres"
    said = refused(url, PERMISSION_DENIED)
    assert "refuses this user" in said
    assert "wr0ngsecret" not in said
    assert "wr0ngsecret" not in repr(parse(url))


def test_a_user_who_must_not_make_tables(postgres_server: PostgresServer, refused: Any) -> None:
    postgres_server.protect("visitor", "right")
    url = f"postgresql://visitor:right@127.0.0.1:{postgres_server.port}/postgres?schema=v{next(PREFIXES)}"
    assert "lacks a permission" in refused(url, PERMISSION_DENIED)


def test_no_driver(monkeypatch: pytest.MonkeyPatch, refused: Any) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'saros[postgres]'" in refused("postgresql://127.0.0.1/shop", INVALID)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://localhost/shop?synchronous=full", "synchronous_commit"),
        ("postgresql://localhost/shop?schema=Shop", "schema is not a name"),
        ("postgresql://localhost/shop?retension=3d", "did you mean retention"),
        ("postgresql://localhost/shop?password=secret", "unknown option"),
        ("postgresql://localhost/shop?lease=1ms", "lease is too short"),
    ],
)
def test_urls_that_are_refused(url: str, said: str) -> None:
    with pytest.raises(saros.Error, match=said) as caught:
        parse(url)
    assert caught.value.kind == INVALID


def test_urls() -> None:
    options = parse("postgres://me:secret@db/shop?schema=shop&sslmode=require&retention=30d")
    assert options.server == "postgres://me:secret@db/shop?sslmode=require"
    assert (options.schema, options.url) == ("shop", "postgres://db/shop")
    assert options.retention == 30 * 86_400 * 10**9


# --- several processes --------------------------------------------------------------------------


def test_a_killed_worker_is_noticed_before_its_lease_ends(
    run: Any, worker: Callable[..., Any], app_path: Path, postgresql_url: str, check_histories: Any
) -> None:
    """Its connection is gone."""
    url = f"{postgresql_url}&lease=10m"

    async def work() -> None:
        async with saros.open(app_path, backend=url, workers=False) as app:
            first = worker(at=url).ready()
            order = await app.start("app:steps", 200, id="long")

            async def begun() -> bool:
                return len(await order.history()) > 5

            await eventually(begun, "it has begun")
            first.end()
            second = worker(at=url).ready()
            assert await order.result(90) == squares(200)
            await check_histories(app, ["long"])
            second.end(signal.SIGTERM)

    run(work())


def test_processes_wake_one_another_at_once(
    run: Any, worker: Callable[..., Any], client: Callable[[], Any]
) -> None:
    async def work() -> None:
        worker().ready()
        async with client() as app:
            await (await app.start("app:steps", 1)).result(60)
            times = []
            for _ in range(15):
                begun = time.monotonic()
                await (await app.start("app:steps", 1)).result(60)
                times.append(time.monotonic() - begun)
            # Without news, each would wait for several looks, which are made once a second.
            assert min(times) < 0.9

    run(work())


# --- saros db -----------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["db", *args])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_info_and_vacuum(run: Any, app_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(made(app_path, url))
    code, out, _ = said(capsys, "info", url, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["executions"] == {"running": 1}
    assert found["waiting"]["workflow tasks"] == 1
    assert "running         1\n" in said(capsys, "info", url)[1]
    assert "bytes after" in said(capsys, "vacuum", url)[1]


def test_what_its_own_programs_do(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "backup", url, str(tmp_path / "copy"))
    assert code != 0
    assert "pg_dump" in err
    assert "pg_amcheck" in said(capsys, "info", url, "--check")[2]


def test_no_tables(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("info", "vacuum", "migrate"):
        code, _, err = said(capsys, verb, url)
        assert code != 0
        assert "there are no tables" in err


def test_migrate(
    run: Any,
    app_path: Path,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: Any,
) -> None:
    """An older schema is refused until it is migrated; a migration that fails changes nothing."""
    run(made(app_path, url))
    assert "nothing to do" in said(capsys, "migrate", url)[1]
    for module in (maintenance, opening, steps_of):
        monkeypatch.setattr(module, "VERSION", 2)
    assert "needs 2" in refused(url, INVALID)
    broken = "CREATE TABLE extra (a INTEGER);\nCREATE TABLE runs (a INTEGER);\n"
    monkeypatch.setattr(steps_of, "MIGRATIONS", {1: broken})
    assert said(capsys, "migrate", url)[0] != 0
    monkeypatch.setattr(steps_of, "MIGRATIONS", {1: "CREATE TABLE extra (a INTEGER);\n"})
    assert "schema 1 became 2" in said(capsys, "migrate", url)[1]
    run(made(app_path, url))


def test_no_migration_while_workers_run(
    run: Any, app_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with saros.open(app_path, backend=url):
            for module in (maintenance, opening, steps_of):
                monkeypatch.setattr(module, "VERSION", 2)
            with pytest.raises(saros.Error, match="is in use by 1 process"):
                await asyncio.to_thread(maintenance.migrate, parse(url))

    run(work())
