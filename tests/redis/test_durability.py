"""Writes that are acknowledged only once replicas or disks have them; and Valkey, which has WAITAOF."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import INVALID, UNAVAILABLE
from saros_testing import lua_app
from saros_testing.conformance import BEHAVIOURS, Behaviour, run

PICKED = BEHAVIOURS[5::12]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"main": "return 1"})


async def finished(path: Path, url: str) -> None:
    async with saros.open(path, backend=url) as app:
        assert await (await app.start("app:main")).result(90) == 1


async def start_fails(path: Path, url: str, text: str, meanwhile: Callable[[], object]) -> None:
    """A start is refused with a text, and not only the first time that it is sent."""
    async with saros.open(path, backend=url, workers=False) as app:
        await app.start("app:main", id="before")
        meanwhile()
        with pytest.raises(saros.Error, match=text) as raised:
            await app.start("app:main", id="x")
        assert raised.value.kind == UNAVAILABLE


@pytest.mark.parametrize("maker", ["new_server", "new_valkey"])
def test_what_a_replica_does_not_have_does_not_count(
    maker: str, app: Path, request: pytest.FixtureRequest
) -> None:
    """Nor is it shown: since 7.2, WAIT alone asks only for what its own connection wrote."""
    make = request.getfixturevalue(maker)
    master = make("--repl-diskless-sync-delay", "0")
    replica = make("--replicaof", "127.0.0.1", str(master.port))
    while not master.is_replicated():
        pass
    url, text = master.url(wait=1), "0 of 1 replicas have the last write"

    async def main() -> None:
        async with (
            saros.open(app, backend=url, workers=False) as one,
            saros.open(app, backend=url, workers=False) as other,
        ):
            await one.start("app:main", id="before")
            assert (await other.backend.describe("before")).status == "running"
            replica.pause()
            try:
                with pytest.raises(saros.Error, match=text) as raised:
                    await one.start("app:main", id="x")
                assert raised.value.kind == UNAVAILABLE
                with pytest.raises(saros.Error, match=text):
                    await other.backend.describe("x")
            finally:
                replica.resume()
            assert (await other.backend.describe("x")).status == "running"

    asyncio.run(main())


@pytest.mark.parametrize("behaviour", PICKED, ids=lambda item: item.name)
def test_conforms_on_valkey(behaviour: Behaviour, new_valkey: Any, tmp_path: Path) -> None:
    run(behaviour, new_valkey().url(), tmp_path)


def test_what_is_on_disk_counts(app: Path, new_valkey: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = new_valkey("--appendfsync", "always")
    asyncio.run(finished(app, server.url(fsync="true")))
    with server.client() as redis:
        assert redis.info("commandstats")["cmdstat_waitaof"]["calls"] > 0

        def no_sync() -> None:
            redis.config_set("appendfsync", "no")

        monkeypatch.setattr("saros_redis.server.client.FSYNC_MS", 200)
        asyncio.run(start_fails(app, server.url(fsync="true"), "not on the server's disk", no_sync))


def test_what_is_on_the_disks_of_replicas_counts(
    app: Path, new_valkey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = ("--appendfsync", "always", "--repl-diskless-sync-delay", "0")
    master = new_valkey(*always)
    replica = new_valkey(*always, "--replicaof", "127.0.0.1", str(master.port))
    while not master.is_replicated():
        pass
    monkeypatch.setattr(
        "saros_redis.server.client.FSYNC_MS", 1_500
    )  # replicas report their offsets once a second

    def no_file() -> None:
        with replica.client() as redis:
            redis.config_set("appendonly", "no")

    text = "0 of 1 replicas have the last write on disk"
    asyncio.run(start_fails(app, master.url(fsync="true", wait=1), text, no_file))


def refused(path: Path, url: str) -> saros.Error:
    with pytest.raises(saros.Error) as raised:
        asyncio.run(finished(path, url))
    return raised.value


def test_a_server_without_waitaof(app: Path, server: Any) -> None:
    with server.client() as redis:
        version = redis.info("server")["redis_version"]
    if version >= "7.2":
        pytest.skip(f"this server is {version}")
    error = refused(app, server.url(fsync="true"))
    assert error.kind == INVALID
    assert f"is version {version}; fsync=true needs WAITAOF, of 7.2 or later" in error.message
    assert "appendfsync always" in (error.hint or "")


def test_fsync_without_a_file(app: Path, new_valkey: Any) -> None:
    error = refused(app, new_valkey("--appendonly", "no").url(fsync="true"))
    assert error.kind == INVALID
    assert "has no append-only file, which fsync=true needs" in error.message
