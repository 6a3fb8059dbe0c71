"""A Temporal dev server per session, and one worker of the app in `app/` that all tests share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import pytest
from servers import TemporalServer, program
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, UnlockTimeSkippingRequest
from temporalio.testing import WorkflowEnvironment

from saros.app.app import App
from saros.app.opening import open_app
from saros.app.plugins import GROUP, Plugins

from .instances import LOCAL, Run, Start

T = TypeVar("T")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker of pytest-xdist runs these tests: they share a server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("temporal"))


class Background:
    """An event loop in a thread, for fixtures that outlive a test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 120) -> T:
        return self.submit(work).result(timeout)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """What is installed, and saros-temporal from this checkout when it is not."""
    points = list(entry_points(group=GROUP))
    if not any(point.name == "temporal" for point in points):
        points.append(EntryPoint("temporal", "saros_temporal.plugin", GROUP))
    return Plugins(points)


SETTINGS = (
    'history.timerProcessorMaxTimeShift="10ms"',
    'history.continueAsNewMinInterval="10ms"',
    'history.defaultWorkflowTaskTimeout="2s"',
)
"""Defaults that are nothing to days and much to tests: how late a timer may be, how soon a workflow may start
over, when a failed workflow task is tried again.
"""


class Server:
    """A dev server that can be stopped and started again on its port, with its data."""

    def __init__(self, folder: Path) -> None:
        settings = [option for setting in SETTINGS for option in ("--dynamic-config-value", setting)]
        self._server = TemporalServer(folder, "--log-level", "never", "--namespace", "other", *settings)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"temporal://{self.address}/default"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("temporal"))
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Server]:
    """A server of one test's own."""
    found = Server(tmp_path)
    found.start()
    try:
        yield found
    finally:
        found.stop()


class Skipping:
    """Temporal's test server, whose clock jumps to the next timer while nothing else is to do."""

    def __init__(self, env: WorkflowEnvironment) -> None:
        self.env = env

    @property
    def url(self) -> str:
        return f"temporal://{self.env.client.service_client.config.target_host}/default"

    async def skip(self, work: Coroutine[Any, Any, T], seconds: float = 20) -> T:
        """Await something while the clock may jump; at most so many seconds of real time."""
        service = self.env.client.test_service
        await service.unlock_time_skipping(UnlockTimeSkippingRequest())
        try:
            return await asyncio.wait_for(work, seconds)
        finally:
            await service.lock_time_skipping(LockTimeSkippingRequest())


@pytest.fixture
def skipping(background: Background) -> Iterator[Skipping]:
    path = program("temporal-test-server")
    env = background.run(WorkflowEnvironment.start_time_skipping(test_server_existing_path=path))
    try:
        yield Skipping(env)
    finally:
        background.run(env.shutdown())


@pytest.fixture
def run(background: Background) -> Callable[..., Any]:
    """Runs a coroutine on the event loop that the tests share."""
    return background.run


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    found = Background()
    try:
        yield found
    finally:
        found.close()


Opener = Callable[..., contextlib.AbstractAsyncContextManager[App]]


@pytest.fixture(scope="session")
def opener(server: Server, plugins: Plugins) -> Opener:
    """Opens an app on the server; its worker's failure fails the test."""

    @contextlib.asynccontextmanager
    async def opened(path: Path, url: str = "", **more: Any) -> AsyncIterator[App]:
        async with await _connected(path, url or server.url, plugins, more) as app:
            yield app

    return opened


async def _connected(
    path: Path, url: str, plugins: Plugins, more: dict[str, Any]
) -> contextlib.AbstractAsyncContextManager[App]:
    """Connect, and retry while the new server already listens but has not created its namespace yet."""
    from saros.model.errors import Error

    deadline = time.monotonic() + 20
    while True:
        try:
            async with open_app(path, url, plugins=plugins, **{**more, "workers": False}):
                break
        except Error as error:
            if (
                time.monotonic() > deadline
                or error.kind not in ("Unavailable", "NotFound")
                or "plugin" in error.message
            ):
                raise
            await asyncio.sleep(0.1)
    return open_app(path, url, plugins=plugins, **more)


class Shared:
    """The shared app, for plain test functions."""

    def __init__(self, app: App, background: Background) -> None:
        self.app = app
        self._background = background

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 120) -> T:
        return self._background.run(work, timeout)

    def call(self, entry: str, *args: Any, **options: Any) -> Any:
        """Start a workflow and give its result."""

        async def work() -> Any:
            return await (await self.app.start(entry, *args, **options)).result(90)

        return self.run(work())


@pytest.fixture(scope="session")
def shared(background: Background, opener: Opener) -> Iterator[Shared]:
    async def enter() -> tuple[App, contextlib.AsyncExitStack]:
        stack = contextlib.AsyncExitStack()
        return await stack.enter_async_context(opener(HERE / "app")), stack

    app, stack = background.run(enter())
    try:
        yield Shared(app, background)
    finally:
        background.run(stack.aclose())


@pytest.fixture(scope="session")
def write_app() -> Callable[..., Path]:
    """Writes an app with a worker of its own task queue, an echo function and one workflow per keyword."""
    return _write_app


@pytest.fixture(scope="session")
def until() -> Callable[..., Coroutine[Any, Any, Any]]:
    """Waits for the first true answer of an async function."""
    return _until


def _write_app(root: Path, queue: str = "", **sources: str) -> Path:
    root.mkdir(exist_ok=True)
    entries = [
        f"  - {{name: worker, kind: temporal.worker, task_queue: '{queue or root.name}', "
        "worker_options: {sticky_schedule_to_start_timeout: 100ms}}",
        "  - {name: echo, kind: function.lua, source: file://echo.lua}",
    ]
    (root / "echo.lua").write_text("return function(x) return x end\n")
    for name, source in sources.items():
        (root / f"{name}.lua").write_text(source)
        entries.append(
            f"  - {{name: {name}, kind: workflow.lua, source: file://{name}.lua, "
            "modules: [funcs, time, workflow]}"
        )
    (root / "_index.yaml").write_text("namespace: app\nentries:\n" + "\n".join(entries) + "\n")
    return root


async def _until(check: Callable[[], Coroutine[Any, Any, T]], seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while True:
        found = await check()
        if found or time.monotonic() > deadline:
            assert found, "it did not become true in time"
            return found
        await asyncio.sleep(0.1)


@pytest.fixture
def start(write_app: Any, tmp_path: Path, plugins: Any) -> Start:
    """Makes an instance of a workflow with this code."""

    def started(code: str, **more: Any) -> Run:
        head = 'local funcs, time, workflow = require("funcs"), require("time"), require("workflow")\n'
        return Run(write_app(tmp_path / "app", flow=head + LOCAL + code), plugins, **more)

    return started
