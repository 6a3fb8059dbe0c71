"""The pytest plugin of Saros: the fixture `saros_app`, for tests without ``async``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from saros.app.description import Description
    from saros.app.handle import Handle
    from saros.app.plugins import Plugins
    from saros.model.presentation import Line

    from .cases import TestApp

T = TypeVar("T")
TIMEOUT_S = 30.0
WORK_S = 1.0
"""The real time that running functions get for further work before a method returns without waiting for them."""


class Execution:
    """A workflow under test: the methods of `saros.Handle` without ``await``. Only `result` moves virtual time."""

    def __init__(self, app: RunningApp, handle: Handle) -> None:
        self._app = app
        self.handle = handle
        self.id = handle.id

    def result(self, timeout: float = TIMEOUT_S) -> Any:
        """Wait for the end, and return the result.

        :raises Error: what the workflow failed with.
        """
        return self._app.run_until(self.handle.result(timeout=timeout))

    def signal(self, topic: str, *payloads: Any) -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.at_once(self.handle.signal(topic, *payloads))

    def query(self, name: str, *args: Any) -> Any:
        """:raises Error: NOT_FOUND, or what the handler failed with."""
        return self._app.at_once(self.handle.query(name, *args))

    def update(self, name: str, *args: Any) -> Any:
        """:raises Error: NOT_FOUND, or what the validator or handler failed with; TIMEOUT when the handler waits for
        time to pass. It goes on with `RunningApp.pass_time`.
        """
        return self._app.at_once(self.handle.update(name, *args))

    def cancel(self, reason: str = "") -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.at_once(self.handle.cancel(reason))

    def terminate(self, reason: str = "") -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.at_once(self.handle.terminate(reason))

    def describe(self) -> Description:
        """Describe the workflow."""
        return self._app.at_once(self.handle.describe())

    def history(self) -> list[Line]:
        """Return the history as readable lines."""
        return self._app.at_once(self.handle.history())

    def replay(self) -> int:
        """Replay the history against the code, and return the number of events.

        :raises NonDeterminism: when the code is not deterministic.
        """
        return self._app.at_once(self._app.app.replay(self.id))


class RunningApp:
    """An app under test. Everything in it moves only while one of these methods runs.

    Its virtual clock moves only in `run`, `call`, `pass_time`, `run_until` and `Execution.result`. Each method
    returns when everything due at that time has happened.
    """

    def __init__(self, app: TestApp, runner: asyncio.Runner) -> None:
        from saros_memory.virtual_clock import VirtualClock

        self.app = app
        self._runner = runner
        clock = app.app.clock
        self._clock = clock if isinstance(clock, VirtualClock) else None
        if self._clock is not None:
            self._clock.stop()

    def run_until(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the app's event loop; virtual time advances as far as needed."""
        return _run(self._runner, work, self._in_time)

    def at_once(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the app's event loop, while virtual time stands still.

        :raises Error: TIMEOUT when it waits for time to pass.
        """
        return _run(self._runner, work, self._at_once)

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        if self._clock is None:
            return await work
        with self._clock.passing():
            result = await work
        await self._settle()
        return result

    async def _at_once(self, work: Coroutine[Any, Any, T]) -> T:
        import anyio

        from saros.model.errors import TIMEOUT, Error

        if self._clock is None:
            return await work
        settled = self._clock.settled()
        with anyio.CancelScope() as scope:
            settled.add_done_callback(lambda future: None if future.cancelled() else scope.cancel())
            result = await work
        settled.cancel()
        if scope.cancelled_caught:
            raise Error(
                "this waits for virtual time, which moves only with pass_time", TIMEOUT, retryable=False
            )
        await self._settle()
        return result

    async def _settle(self) -> None:
        """Wait until everything due now has happened; slow functions, and those that wait for the test, go on."""
        import anyio

        assert self._clock is not None
        seen = -1
        while seen != self._clock.activity:
            seen = self._clock.activity
            with anyio.move_on_after(WORK_S):
                await self._clock.settled()
                return

    def start(self, entry: str, *args: Any, **options: Any) -> Execution:
        """Start a workflow; options as those of `saros.App.start`."""
        return Execution(self, self.at_once(self.app.start(entry, *args, **options)))

    def run(self, entry: str, *args: Any, timeout: float = TIMEOUT_S, **options: Any) -> Any:
        """Start a workflow, and return its result.

        :raises Error: what it failed with.
        """
        return self.run_until(self.app.run(entry, *args, timeout=timeout, **options))

    def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function.

        :raises Error: what it failed with.
        """
        return self.run_until(self.app.call(entry, *args, context=context))

    def get(self, id: str) -> Execution:
        """Return a workflow that was started elsewhere, such as by a function, a schedule or another workflow."""
        return Execution(self, self.app.app.get(id))

    def pass_time(self, duration: str | float) -> None:
        """Let exactly this much time pass; everything due in the meantime happens.

        :param duration: such as ``"36h"``, or milliseconds.
        """
        _run(self._runner, self.app.pass_time(duration), lambda work: work)


class SarosApp(Protocol):
    """The fixture `saros_app`."""

    def __call__(
        self,
        path: str | Path,
        url: str = "memory://?time=skip",
        *,
        workers: bool = True,
        services: bool = True,
        plugins: Plugins | None = None,
        fakes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> RunningApp:
        """Open an app, which is closed when the test ends; arguments as those of `saros.testing.TestApp`.

        :raises RuntimeError: in a test that is async itself.
        """
        ...


@pytest.fixture
def saros_app() -> Iterator[SarosApp]:
    """Open an app: ``saros_app(path, fakes={...})``; other arguments as those of `saros.testing.TestApp`."""
    with contextlib.ExitStack() as stack:

        def open_it(path: str | Path, url: str = "memory://?time=skip", **options: Any) -> RunningApp:
            _refuse_async()
            return stack.enter_context(_opened(path, url, options))

        yield open_it


@contextlib.contextmanager
def _opened(path: str | Path, url: str, options: Mapping[str, Any]) -> Iterator[RunningApp]:
    from .cases import TestApp

    # With a loop factory, the runner does not change the result of asyncio.get_event_loop() elsewhere.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        app = TestApp(path, url, **options)
        runner.run(app.__aenter__())
        running = RunningApp(app, runner)
        try:
            yield running
        finally:
            running.run_until(app.__aexit__(None, None, None))


def _run(
    runner: asyncio.Runner,
    work: Coroutine[Any, Any, T],
    how: Callable[[Coroutine[Any, Any, T]], Coroutine[Any, Any, T]],
) -> T:
    try:
        _refuse_async()
    except RuntimeError:
        work.close()
        raise
    return runner.run(how(work))


def _refuse_async() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "saros_app is for tests without async; in this one, write "
        "`async with saros.testing.TestApp(path) as app` instead"
    )
