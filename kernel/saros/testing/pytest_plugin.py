"""The plugin of pytest that comes with Saros: the fixture `saros_app`, for tests without ``async``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from ..app import Handle
    from ..execution import Description
    from ..presentation import Line
    from .cases import TestApp

T = TypeVar("T")
TIMEOUT_S = 30.0


class Execution:
    """A workflow under test: what `saros.Handle` does, without ``await``."""

    def __init__(self, app: RunningApp, handle: Handle) -> None:
        self._app = app
        self.handle = handle
        self.id = handle.id

    def result(self, timeout: float = TIMEOUT_S) -> Any:
        """Wait for the end, and give the result.

        :raises Error: what the workflow failed with.
        """
        return self._app.run_until(self.handle.result(timeout=timeout))

    def signal(self, topic: str, *payloads: Any) -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.run_until(self.handle.signal(topic, *payloads))

    def query(self, name: str, *args: Any) -> Any:
        """:raises Error: NOT_FOUND, or what the handler failed with."""
        return self._app.run_until(self.handle.query(name, *args))

    def update(self, name: str, *args: Any) -> Any:
        """:raises Error: NOT_FOUND, or what the validator or handler failed with."""
        return self._app.run_until(self.handle.update(name, *args))

    def cancel(self, reason: str = "") -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.run_until(self.handle.cancel(reason))

    def terminate(self, reason: str = "") -> None:
        """:raises Error: NOT_FOUND when it does not run."""
        self._app.run_until(self.handle.terminate(reason))

    def describe(self) -> Description:
        """How it stands."""
        return self._app.run_until(self.handle.describe())

    def history(self) -> list[Line]:
        """What has happened, as readable lines."""
        return self._app.run_until(self.handle.history())

    def replay(self) -> int:
        """Replay what has happened against the code; gives the number of events.

        :raises NonDeterminism: when the code is not deterministic.
        """
        return self._app.run_until(self._app.app.replay(self.id))


class RunningApp:
    """An app under test. Everything in it, its virtual clock too, moves only while one of these methods runs."""

    def __init__(self, app: TestApp, runner: asyncio.Runner) -> None:
        self.app = app
        self._runner = runner

    def run_until(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the app's event loop."""
        return self._runner.run(work)

    def start(self, entry: str, *args: Any, **options: Any) -> Execution:
        """Start a workflow; options as those of `saros.App.start`."""
        return Execution(self, self.run_until(self.app.start(entry, *args, **options)))

    def run(self, entry: str, *args: Any, timeout: float = TIMEOUT_S, **options: Any) -> Any:
        """Start a workflow, and give its result.

        :raises Error: what it failed with.
        """
        return self.run_until(self.app.run(entry, *args, timeout=timeout, **options))

    def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function.

        :raises Error: what it failed with.
        """
        return self.run_until(self.app.call(entry, *args, context=context))

    def get(self, id: str) -> Execution:
        """A workflow that was started elsewhere: by a function, a schedule, another workflow."""
        return Execution(self, self.app.app.get(id))

    def pass_time(self, duration: str | float) -> None:
        """Let time pass: what is due in the meantime happens.

        :param duration: such as ``"36h"``, or milliseconds.
        """
        from ..entries import parse_duration

        async def passed() -> None:
            clock = self.app.app.clock
            over = asyncio.Event()
            clock.call_at(clock.now() + parse_duration(duration), over.set)
            await over.wait()

        self.run_until(passed())


@pytest.fixture
def saros_app() -> Iterator[Callable[..., RunningApp]]:
    """Open an app: ``saros_app(path, fakes={...})``; other arguments as those of `saros.testing.TestApp`."""
    from .cases import TestApp

    with contextlib.ExitStack() as stack:

        def open_it(path: str | Path, url: str = "memory://?time=skip", **options: Any) -> RunningApp:
            runner = stack.enter_context(asyncio.Runner())
            app = TestApp(path, url, **options)
            runner.run(app.__aenter__())
            stack.callback(lambda: runner.run(app.__aexit__(None, None, None)))
            return RunningApp(app, runner)

        yield open_it
