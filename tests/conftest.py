"""Servers for the suites that run on every backend.

Each starts from its wheel on a free port and stops afterwards. To use a running server, set its URL in
``SAROS_TEST_REDIS``, ``SAROS_TEST_TEMPORAL`` or ``SAROS_TEST_POSTGRES``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from clocks import Clock, build
from hypothesis import HealthCheck, settings
from servers import PREFIXES, PostgresServer, RedisServer, TemporalServer

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # the speed of the machine does not matter to these tests

os.environ.setdefault("OTEL_SDK_DISABLED", "true")
"""Telemetry is off, as it is for most users; tests/otel turns it on again."""

# A shell that starts the tests in the background lets them, and the programs that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ATTRIBUTES = {
    "customer": "keyword",
    "total": "float",
    "items": "integer",
    "vip": "boolean",
    "tags": "keyword_list",
    "placed": "time",
}
"""The search attributes of the suite's apps. These declare no client, so the server's fixture registers them."""

FASTER = (
    'history.timerProcessorMaxTimeShift="10ms"',
    'history.defaultWorkflowTaskTimeout="2s"',
)
"""Server settings that make timers prompt and retry failed tasks quickly; only tests need them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        default="memory",
        help="schemes or URLs of the backends under test, separated by commas, or all (default: memory)",
    )
    parser.addoption("--write-table", action="store_true", help="write the results to docs/conformance.md")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file for one test."""
    return f"sqlite:///{tmp_path}/saros.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest) -> str:
    """A schema of a test's own."""
    known = os.environ.get("SAROS_TEST_POSTGRES")
    if known:
        return f"{known}{'&' if '?' in known else '?'}schema=t{os.getpid()}_{next(PREFIXES)}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server with an append-only file."""
    known = os.environ.get("SAROS_TEST_REDIS")
    if known:
        yield known
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    with server.running():
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(scope="session")
def temporal_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Temporal dev server whose default namespace knows the suite's search attributes."""
    known = os.environ.get("SAROS_TEST_TEMPORAL")
    if known:
        yield known
        return
    settings = [option for setting in FASTER for option in ("--dynamic-config-value", setting)]
    server = TemporalServer(tmp_path_factory.mktemp("temporal"), "--log-level", "never", *settings)
    with server.running():
        asyncio.run(_register(f"127.0.0.1:{server.port}"))
        yield f"temporal://127.0.0.1:{server.port}/default"


async def _register(address: str) -> None:
    from temporalio.client import Client

    from saros_temporal.wire.search_attributes import register

    await register(await Client.connect(address), ATTRIBUTES)


# --- clocks that tests can set ------------------------------------------------------------------


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that gives a server a settable clock."""
    library = build(tmp_path_factory.mktemp("clock"))
    if library is None:
        pytest.skip("needs a C compiler, to give a server a settable clock")
    return library


@pytest.fixture
def own_clock(clock_library: Path, tmp_path: Path) -> Clock:
    return Clock(clock_library, tmp_path / "clock_step")
