"""An application under test."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from saros.app.app import App
from saros.app.handle import Handle
from saros.app.opening import open_app
from saros.app.plugins import Plugins
from saros.engine.replay import replay
from saros.entries import parse_duration
from saros.model.errors import INVALID, Error
from saros_memory.virtual_clock import VirtualClock

from .fakes import put_in

TIMEOUT_S = 30.0


async def refused(request: Awaitable[object]) -> Error:
    """Return the error that a request fails with.

        error = await refused(order.signal("late"))
        assert error.kind == "NotFound"

    :raises AssertionError: when it succeeds.
    """
    try:
        result = await request
    except Error as error:
        return error
    raise AssertionError(f"this should have failed, but gave {result!r}")


async def eventually(
    check: Callable[[], bool | Awaitable[bool]], what: str = "the condition", limit_s: float = 60.0
) -> None:
    """Check a condition repeatedly until it holds.

    :param what: the condition in words, for the message.
    :param limit_s: the longest wait, in real seconds.
    :raises AssertionError: when it does not hold in time.
    """
    deadline = time.monotonic() + limit_s
    while True:
        holds = check()
        if holds if isinstance(holds, bool) else await holds:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not become true within {limit_s:g} s: {what}")
        await asyncio.sleep(0.005)


class TestApp:
    """An app opened with workers, on virtual time unless the URL says otherwise.

        async with TestApp("examples/orders") as app:
            order = await app.start("app:order_workflow", {"id": "1"}, id="order-1")
            await order.signal("approve", {"by": "me"})
            assert (await order.result())["status"] == "completed"

    :param path: the app's directory.
    :param url: of the backend.
    :param services: also serve its supervised processes, schedules and HTTP. Tests that run at the same time
        cannot open the same port.
    :param fakes: callables (sync or async) that replace functions, by entry id.
    """

    __test__ = False  # for pytest: no test class

    def __init__(
        self,
        path: str | Path,
        url: str = "memory://?time=skip",
        *,
        workers: bool = True,
        services: bool = True,
        plugins: Plugins | None = None,
        fakes: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        check = functools.partial(put_in, callables=fakes or {})
        self._opening = open_app(
            path, url, workers=workers, services=services, plugins=plugins, check=check, watchdog=0.0
        )
        self._app: App | None = None

    async def __aenter__(self) -> TestApp:
        self._app = await self._opening.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opening.__aexit__(kind, error, trace)

    @property
    def app(self) -> App:
        """The opened app."""
        if self._app is None:
            raise RuntimeError("use it as `async with TestApp(...) as app`")
        return self._app

    async def start(self, entry: str, *args: Any, **options: Any) -> Handle:
        """Start a workflow; options as those of `saros.App.start`."""
        return await self.app.start(entry, *args, **options)

    async def run(self, entry: str, *args: Any, timeout: float = TIMEOUT_S, **options: Any) -> Any:
        """Start a workflow and return its result."""
        handle = await self.app.start(entry, *args, **options)
        return await handle.result(timeout=timeout)

    async def fails(self, entry: str, *args: Any, timeout: float = TIMEOUT_S, **options: Any) -> Error:
        """Start a workflow that must fail, and return its error."""
        handle = await self.app.start(entry, *args, **options)
        return await refused(handle.result(timeout=timeout))

    async def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function."""
        return await self.app.call(entry, *args, context=context)

    async def replay(self, id: str) -> int:
        """Replay the history of an execution against the app's code, and return its number of events.

        :raises NonDeterminism: when the code no longer matches.
        """
        return replay(await self.app.get(id).export(), self.app.deployment)

    async def pass_time(self, duration: str | float) -> None:
        """Let exactly this much time pass; virtual time jumps. Everything due in the meantime happens.

        :param duration: such as ``"36h"``, or milliseconds.
        :raises Error: INVALID, when it is not a duration, or negative.
        """
        ns = parse_duration(duration)
        if ns < 0:
            raise Error(f"time cannot pass by {duration}: it only moves forward", INVALID, retryable=False)
        clock = self.app.clock
        if isinstance(clock, VirtualClock):
            await clock.pass_time(ns)
        else:
            await asyncio.sleep(ns / 1e9)

    @contextlib.contextmanager
    def hold_time(self) -> Iterator[None]:
        """Keep virtual time from jumping while the test still has something to do.

        :raises RuntimeError: when the app does not run on virtual time.
        """
        clock = self.app.clock
        if not isinstance(clock, VirtualClock):
            raise RuntimeError("only virtual time (memory://?time=skip) can be held")
        with clock.hold():
            yield
