"""What is refused when an app is opened, and how it is said."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.background import Job
from saros.model.errors import INVALID, PERMISSION_DENIED, UNAVAILABLE
from saros_redis import store
from saros_redis.server.check import check
from saros_testing import eventually, lua_app


def refused(path: Path, url: str) -> saros.Error:
    async def main() -> None:
        async with saros.open(path, backend=url, workers=False):
            pass

    with pytest.raises(saros.Error) as raised:
        asyncio.run(main())
    return raised.value


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"main": "return 1"})


def test_a_dead_server(app: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = refused(app, f"redis://someone:secret@localhost:{port}/0")
    assert error.kind == UNAVAILABLE
    assert f"cannot reach Redis at localhost:{port}" in error.message
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("colour=red", "an unknown option"),
        ("lease=soon", "lease"),
        ("lease=10ms", "at least 500ms"),
        ("partitions=0", "partitions must be a number from 1 to 1024"),
        ("prefix={x}", "the prefix must not contain braces"),
        ("cluster=maybe", "cluster must be true or false"),
        ("cluster=true&wait=1", "does not support"),
        ("cluster=true&fsync=true", "does not support"),
        ("fsync=1", "fsync must be true or false"),
        ("tls_ca=/ca.pem", "need rediss://"),
        ("sentinel_password=x", "need sentinel="),
        ("sentinel=", "sentinel is empty"),
    ],
)
def test_bad_options(app: Path, query: str, text: str) -> None:
    error = refused(app, f"redis://localhost:1/0?{query}")
    assert error.kind == INVALID
    assert text in error.message


def test_hosts_that_nobody_asked_for(app: Path) -> None:
    assert "several hosts need cluster=true" in refused(app, "redis://one:1,two:2/0").message


def test_a_key_without_its_certificate(app: Path) -> None:
    assert "tls_key needs tls_cert" in refused(app, "rediss://localhost:1/0?tls_key=/key.pem").message


def test_a_bad_database(app: Path) -> None:
    assert "the database is not a number" in refused(app, "redis://localhost:1/orders").message


def test_a_server_that_evicts(app: Path, new_server: Any) -> None:
    error = refused(app, new_server("--maxmemory-policy", "allkeys-lru").url())
    assert error.kind == INVALID
    assert "maxmemory-policy allkeys-lru" in error.message
    assert "noeviction" in (error.hint or "")


def test_a_server_that_keeps_nothing(app: Path, new_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with saros.open(app, backend=new_server("--appendonly", "no").url()) as opened:
            assert await (await opened.start("app:main")).result(90) == 1

    with caplog.at_level(logging.WARNING, "saros.redis"):
        asyncio.run(main())
    assert "has no append-only file" in caplog.text


def test_users_and_passwords(app: Path, new_server: Any) -> None:
    locked = new_server()
    with locked.client() as redis:
        redis.acl_setuser(
            "shop", enabled=True, passwords=["+open sesame"], keys=["*"], channels=["*"], categories=["+@all"]
        )
        redis.acl_setuser("default", enabled=False)
    url = locked.url()
    try:
        assert refused(app, url).kind == PERMISSION_DENIED
        assert refused(app, url.replace("//", "//shop:wrong@")).kind == PERMISSION_DENIED

        async def main() -> None:
            opened = url.replace("//", "//shop:open%20sesame@")
            async with saros.open(app, backend=opened) as shop:
                assert await (await shop.start("app:main")).result(90) == 1
                assert "sesame" not in shop.backend.url

        asyncio.run(main())
    finally:
        locked.kill()


def test_the_number_of_partitions_is_kept(app: Path, server: Any) -> None:
    url = server.url(partitions=3)

    async def main(url: str) -> int:
        async with saros.open(app, backend=url, workers=False) as opened:
            store: Any = opened.backend
            return int(store.store._partitions.keys.partitions)

    assert asyncio.run(main(url)) == 3
    assert asyncio.run(main(url.replace("partitions=3", "retention=1d"))) == 3
    error = refused(app, url.replace("partitions=3", "partitions=4"))
    assert "has 3 partitions, not 4" in error.message


def test_data_of_another_format(app: Path, server: Any) -> None:
    url = server.url(prefix="future")
    with server.client() as redis:
        redis.hset("future:settings", "format", "99")
    assert "has format 99" in refused(app, url).message


def test_writes_wait_for_replicas(app: Path, new_server: Any) -> None:
    master = new_server()
    replica = new_server("--replicaof", "127.0.0.1", str(master.port))
    with master.client() as redis:
        while redis.info("replication")["connected_slaves"] < 1 or redis.wait(1, 100) < 1:
            pass

    async def main() -> None:
        async with saros.open(app, backend=master.url(wait=1)) as opened:
            order = await opened.start("app:main", id="x")
            assert await order.result(90) == 1
            with replica.client() as redis:
                assert any(redis.scan_iter("*:e:x"))
            replica.kill()
            with pytest.raises(saros.Error) as raised:
                await opened.start("app:main", id="y")
            assert raised.value.kind == UNAVAILABLE
            assert "0 of 1 replicas have the last write" in raised.value.message

    asyncio.run(main())


@pytest.mark.parametrize("how", ["refused", "cancelled"])
def test_an_opening_that_fails_closes_its_connections(
    app: Path, new_server: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server = new_server(*(["--maxmemory-policy", "allkeys-lru"] if how == "refused" else []))

    async def attempt() -> None:
        async with saros.open(app, backend=server.url(), workers=False):
            pass

    async def main() -> None:
        checked = asyncio.Event()

        async def checks_for_ever(client: Any, commands: Any) -> int:
            await check(client, commands)
            checked.set()
            await asyncio.Event().wait()
            return 0

        if how == "cancelled":
            monkeypatch.setattr(store, "check", checks_for_ever)
        with server.client() as redis:
            job = Job(attempt(), "an opening")
            if how == "cancelled":
                await checked.wait()
                assert len(redis.client_list()) > 1
                job.cancel()
            await asyncio.wait({job.task})
            assert how == "cancelled" or isinstance(job.failure(), saros.Error)
            await eventually(lambda: len(redis.client_list()) == 1, "its connections are closed")

    asyncio.run(main())
