"""A real redis-server, and a fresh prefix for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import RedisServer, ValkeyServer

DOCS = Path(__file__).parents[2] / "docs" / "backends" / "redis.md"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server shared by all tests that do not disturb it."""
    started = RedisServer(tmp_path_factory.mktemp("redis"))
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="session")
def server_class() -> type[RedisServer]:
    return RedisServer


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may kill."""
    folder = tmp_path / "redis"
    folder.mkdir()
    started = RedisServer(folder)
    started.start()
    yield started
    started.kill()


def _maker(folder: Path, kind: type[RedisServer]) -> Iterator[Any]:
    made: list[RedisServer] = []

    def make(*options: str) -> RedisServer:
        home = folder / f"redis{len(made)}"
        home.mkdir(parents=True)
        made.append(kind(home, *options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Any]:
    """Starts servers with given options."""
    yield from _maker(tmp_path, RedisServer)


@pytest.fixture(scope="session")
def valkey_class() -> type[RedisServer]:
    return ValkeyServer


@pytest.fixture
def new_valkey(tmp_path: Path, valkey_class: type[RedisServer]) -> Iterator[Any]:
    yield from _maker(tmp_path / "valkey", valkey_class)


@pytest.fixture(scope="session")
def acl() -> Any:
    """Returns the documented command for a user, with another prefix and name."""
    found = re.search(r"^ACL SETUSER shop on >secret (.*)$", DOCS.read_text(), re.MULTILINE)
    assert found is not None
    rules = found[1]

    def command(prefix: str, name: str) -> list[str]:
        return ["ACL", "SETUSER", name, "on", ">secret", *rules.replace("saros", prefix).split()]

    return command


@pytest.fixture
def url(server: RedisServer) -> str:
    return server.url()
