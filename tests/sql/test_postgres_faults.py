"""PostgreSQL that is restarted, whose connections are cut, and whose clock is set."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from clocks import Clock, build
from listeners import listening
from servers import PostgresServer

import saros
from saros_sql.options import parse
from saros_sql.store import SqlStore
from saros_testing import eventually


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


def squares(n: int) -> int:
    return sum(i * i for i in range(1, n + 1))


async def disturbed(
    app_path: Path, url: str, worker: Callable[..., Any], check_histories: Any, disturb: Callable[[], None]
) -> None:
    """Workflows on two workers, while the server is disturbed three times."""
    chance = random.Random(1)
    for each in [worker(at=url) for _ in range(2)]:
        each.ready()
    async with saros.open(app_path, backend=url, workers=False) as app:
        simple = [await app.start("app:steps", 15, id=f"s{n}") for n in range(6)]
        reader = await app.start("app:letters", 9, id="letters")
        for number in range(3):
            await asyncio.sleep(chance.uniform(0.2, 0.6))
            await asyncio.to_thread(disturb)
            for letter in range(3):
                await reader.signal("letter", number * 3 + letter)
        assert [await each.result(90) for each in simple] == [squares(15)] * 6
        assert await reader.result(90) == list(range(9))
        await check_histories(app, [each.id for each in simple])


def test_workers_killed_again_and_again(
    run: Any, app_path: Path, worker: Callable[..., Any], check_histories: Any, postgresql_url: str
) -> None:
    """Nothing that was acknowledged is lost, nothing is done twice, and messages keep their order."""
    url = f"{postgresql_url}&lease=1s&attempts=1000"
    workers: list[Any] = []

    def kill() -> None:
        for _ in range(3):
            workers.append(worker(at=url))
            if len(workers) > 3:
                workers.pop(0).end()
            time.sleep(0.3)

    run(disturbed(app_path, url, worker, check_histories, kill))


def test_a_server_that_is_restarted_under_load(
    run: Any, app_path: Path, worker: Callable[..., Any], check_histories: Any, server: PostgresServer
) -> None:
    """It crashes: what was not written to the disk is lost."""

    def restart() -> None:
        server.kill(signal.SIGQUIT)
        server.start()

    run(disturbed(app_path, server.url(lease="5s", attempts=1000), worker, check_histories, restart))


def test_connections_that_are_ended_under_load(
    run: Any, app_path: Path, worker: Callable[..., Any], check_histories: Any, postgresql_url: str
) -> None:
    url = f"{postgresql_url}&lease=5s&attempts=1000"

    def end() -> None:
        with psycopg.connect(parse(url).server, autocommit=True) as raw:
            for _ in range(5):
                raw.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'saros'"
                )
                time.sleep(0.1)

    run(disturbed(app_path, url, worker, check_histories, end))


# --- a commit whose answer is lost --------------------------------------------------------------


@contextlib.asynccontextmanager
async def cutting(
    port: int, before: bool, meanwhile: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[int, list[str]]]:
    """A proxy that cuts one connection at a commit, once its list has an entry: before the server hears of it, or
    before the client hears of that."""
    wanted: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # the server does not run
            writer.transport.abort()
            return

        async def forth() -> None:
            while data := await reader.read(65_536):
                if wanted and b"COMMIT\0" in data:
                    wanted.clear()
                    if not before:
                        server.write(data)
                        await server.drain()
                        await upstream.read(65_536)
                    await asyncio.to_thread(meanwhile)
                    return
                server.write(data)
                await server.drain()

        async def back() -> None:
            while data := await upstream.read(65_536):
                writer.write(data)
                await writer.drain()

        async def first_ends(call: Callable[[], Awaitable[None]]) -> None:
            with contextlib.suppress(OSError):
                await call()
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(first_ends, forth)
                group.start_soon(first_ends, back)
        finally:
            server.transport.abort()

    async with listening(serve) as own:
        yield own, wanted


@pytest.mark.parametrize("before", [True, False])
def test_whether_a_commit_has_happened_is_found_out(run: Any, postgresql_url: str, before: bool) -> None:
    """An operation is done once, whether the connection is lost before or after its commit."""
    address = parse(postgresql_url).server.partition("@")[2].partition("/")[0]
    port = int(address.partition(":")[2])

    async def work() -> None:
        async with cutting(port, before) as (own, wanted):
            tries: list[int] = []

            def insert(tx: Any) -> None:
                if not tries:  # not earlier: the store commits what it does in the background, too
                    wanted.append("now")
                tries.append(1)
                tx.run("INSERT INTO node_mail (node, mail) VALUES (?, ?)", "n", b"x")

            store = SqlStore(parse(postgresql_url.replace(f":{port}/", f":{own}/")))
            await store.open()
            try:
                for _ in range(3):
                    tries.clear()
                    await store._link.write(insert)
                    assert not wanted
                found = await store._link.read(lambda tx: tx.all("SELECT count(*) FROM node_mail"))
                assert found == [(3,)]
            finally:
                await store.close()

    run(work())


def test_a_commit_is_not_taken_for_another_one_of_its_number(run: Any, server: PostgresServer) -> None:
    """A server that has crashed, or another one that has taken over, gives numbers again that it does not know."""
    url = server.url()

    def given_again() -> None:
        server.kill(signal.SIGQUIT)
        server.reset_xid(before[0])
        server.start()
        with psycopg.connect(parse(url).server, autocommit=True) as raw:
            for _ in range(20):
                raw.execute("SELECT pg_current_xact_id()")

    before: list[int] = []
    tries: list[str] = []

    async def work() -> None:
        async with cutting(server.port, True, given_again) as (own, wanted):

            def insert(tx: Any) -> None:
                if not tries:  # not earlier: the store commits what it does in the background, too
                    wanted.append("now")
                tx.run("INSERT INTO node_mail (node, mail) VALUES (?, ?)", "n", b"x")
                tries.append(tx.xid)

            store = SqlStore(parse(url.replace(f":{server.port}/", f":{own}/")))
            await store.open()
            try:
                with psycopg.connect(parse(url).server, autocommit=True) as raw:
                    raw.execute("CHECKPOINT")
                    row = raw.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int").fetchone()
                assert row is not None
                before.append(row[0])
                await store._link.write(insert)
                found = await store._link.read(lambda tx: tx.all("SELECT count(*) FROM node_mail"))
                assert found == [(1,)]
                assert len(tries) == 2
            finally:
                await store.close()

    run(work())


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-3_600, 3_600])
def test_no_timer_is_early_or_late_when_the_servers_clock_is_set(
    run: Any, app_path: Path, seconds: int
) -> None:
    server = PostgresServer()
    library = build(server.folder)
    if library is None:
        pytest.skip("needs a C compiler, for a server whose clock can be set")
    clock = Clock(library, server.folder / "clock_step")
    for path in (library, server.folder / "clock_step"):
        os.chmod(path, 0o755)
    server.environment = clock.environment
    server.start()

    async def work() -> None:
        async with saros.open(app_path, backend=server.url()) as app:
            begun = time.monotonic()
            nap = await app.start("app:nap", "2s", id="nap")

            async def sleeps() -> bool:
                return len(await nap.history()) > 1

            await eventually(sleeps, "it sleeps")
            clock.set(seconds)
            assert await nap.result(60) == "slept"
            assert 2 <= time.monotonic() - begun < 30
            described = await (await app.start("app:nap", "1h", id="later")).describe()
            assert abs(described.start_time.timestamp() - time.time() - seconds) < 60

    try:
        run(work())
    finally:
        server.stop()
