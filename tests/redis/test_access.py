"""Users with few permissions, and servers that cannot work at the moment."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import saros
import saros_redis
from saros.model.errors import PERMISSION_DENIED, UNAVAILABLE
from saros_testing import lua_app
from saros_testing.conformance import BEHAVIOURS, Behaviour, run

SCRIPTS = Path(saros_redis.__file__).parent / "scripts"
PICKED = BEHAVIOURS[3::8]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"main": "return 1"})


def opened(path: Path, url: str) -> None:
    async def main() -> None:
        async with saros.open(path, backend=url) as app:
            assert await (await app.start("app:main")).result(90) == 1

    asyncio.run(main())


def refused(path: Path, url: str) -> saros.Error:
    with pytest.raises(saros.Error) as raised:
        opened(path, url)
    return raised.value


@pytest.fixture
def user(server: Any, acl: Any) -> Any:
    """Creates the documented user with some extra rules on the shared server, and returns its URL."""
    made: list[str] = []

    def make(*rules: str) -> str:
        url: str = server.url()
        prefix = url.rpartition("=")[2]
        made.append(f"user-{prefix}")
        with server.client() as redis:
            redis.execute_command(*acl(prefix, made[-1]), *(rule.replace("$", prefix) for rule in rules))
        return url.replace("//", f"//{made[-1]}:secret@")

    yield make
    with server.client() as redis:
        redis.execute_command("ACL", "DELUSER", *made)


@pytest.mark.parametrize("behaviour", PICKED, ids=lambda item: item.name)
def test_conforms_with_the_documented_user(
    behaviour: Behaviour, user: Any, server: Any, tmp_path: Path
) -> None:
    url = user()
    run(behaviour, url, tmp_path)
    with server.client() as redis:
        name = url.partition(":secret")[0].rpartition("/")[2]
        denied = {entry["object"] for entry in redis.acl_log() if entry["username"] == name}
    assert denied <= {"client", "client|setinfo"}  # redis-py sends its name, and ignores a refusal


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("-info", "info"),
        ("-eval", "eval"),
        ("-publish", "publish"),
        ("-subscribe", "subscribe"),
        ("-blpop", "blpop"),
        ("-xautoclaim -xclaim", "xclaim"),
        ("resetkeys ~$:*", "key"),
        ("resetkeys ~{$:*", "key"),
        ("resetchannels", "channel"),
        ("reset on >secret", "info"),
    ],
)
def test_a_user_that_lacks_something(rule: str, text: str, app: Path, user: Any, server: Any) -> None:
    url = user(*rule.split())
    error = refused(app, url)
    assert error.kind == PERMISSION_DENIED
    assert f"Redis at redis://localhost:{server.port}/0 refuses access" in error.message
    assert text in error.message
    assert "ACL line" in (error.hint or "")
    assert "secret" not in f"{error} {error.hint}"
    with server.client() as redis:
        assert not list(redis.scan_iter(f"{{{url.rpartition('=')[2]}*:m:*"))


def test_every_command_of_the_scripts_is_tried_first() -> None:
    scripts = {file.name: file.read_text() for file in SCRIPTS.rglob("*.lua")}
    tried = set(re.findall(r'try\("([A-Z]+)"', scripts.pop("probe.lua")))
    used = {name for text in scripts.values() for name in re.findall(r'(?<!\w)p?call\("([A-Z]+)"', text)}
    assert used - tried == {"TIME"}  # each script begins with it


def test_a_user_that_loses_its_permissions(app: Path, user: Any, server: Any) -> None:
    url = user()
    name = url.partition(":secret")[0].rpartition("/")[2]

    async def main() -> None:
        async with saros.open(app, backend=url, workers=False) as client:
            await client.start("app:main", id="x")
            with server.client() as redis:
                redis.execute_command("ACL", "SETUSER", name, "-evalsha")
            with pytest.raises(saros.Error, match="evalsha") as raised:
                await client.start("app:main", id="y")
            assert raised.value.kind == PERMISSION_DENIED
            with server.client() as redis:
                redis.execute_command("ACL", "SETUSER", name, "+evalsha")

    asyncio.run(main())


def test_a_wrong_password(app: Path, user: Any) -> None:
    error = refused(app, user().replace(":secret@", ":guess@"))
    assert error.kind == PERMISSION_DENIED
    assert "invalid username-password pair" in error.message
    assert "check user and password" in (error.hint or "")


# --- servers that cannot work at the moment -------------------------------------------------


def test_a_replica(app: Path, server: Any, new_server: Any) -> None:
    replica = new_server("--replicaof", "127.0.0.1", str(server.port))
    error = refused(app, replica.url())
    assert error.kind == UNAVAILABLE
    assert f"is a replica of 127.0.0.1:{server.port}, and does not accept writes" in error.message
    assert "master" in (error.hint or "")


def test_a_full_server(app: Path, own_server: Any) -> None:
    with own_server.client() as redis:
        redis.config_set("maxmemory", "1mb")
        error = refused(app, own_server.url())
        assert error.kind == UNAVAILABLE
        assert "is out of memory" in error.message
        redis.config_set("maxmemory", "0")
    opened(app, own_server.url())


def test_a_server_that_cannot_save(app: Path, new_server: Any) -> None:
    server = new_server("--appendonly", "no")
    with server.client() as redis:
        redis.config_set("save", "900 1")
        shutil.rmtree(server.folder)
        redis.set("x", 1)
        redis.bgsave()
        until = time.monotonic() + 10
        while redis.info("persistence")["rdb_last_bgsave_status"] == "ok":
            assert time.monotonic() < until
    error = refused(app, server.url())
    assert error.kind == UNAVAILABLE
    assert f"Redis at localhost:{server.port} refuses writes because it cannot save" in error.message


def test_a_master_that_lacks_replicas(app: Path, new_server: Any) -> None:
    server = new_server("--min-replicas-to-write", "1")
    error = refused(app, server.url())
    assert error.kind == UNAVAILABLE
    assert "fewer replicas are connected than min-replicas-to-write" in error.message


def test_a_server_that_loads(app: Path, new_server: Any) -> None:
    server = new_server("--appendfsync", "no")
    with server.client() as redis:
        pipeline = redis.pipeline(transaction=False)
        for number in range(10_000):
            pipeline.set(f"x{number}", number)
        pipeline.execute()
    server.kill(signal.SIGTERM)
    server.options = (*server.options, "--key-load-delay", "50")
    starting = threading.Thread(target=server.start)
    starting.start()
    try:
        until = time.monotonic() + 10
        while "cannot reach" in (error := refused(app, server.url())).message:
            assert time.monotonic() < until
        assert error.kind == UNAVAILABLE
        assert f"Redis at localhost:{server.port} is still loading its data" in error.message
    finally:
        starting.join()
    opened(app, server.url())
