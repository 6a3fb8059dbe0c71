"""An application under test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..app import App, Handle, open_app
from ..clock import VirtualClock
from ..errors import Error
from ..plugins import Plugins

TIMEOUT_S = 30.0


class TestApp:
    """An app that is opened with workers; on virtual time, unless the URL says otherwise.

        async with TestApp("examples/orders") as app:
            order = await app.start("app:order_workflow", {"id": "1"}, id="order-1")
            await order.signal("approve", {"by": "me"})
            assert (await order.result())["status"] == "completed"

    :param path: the app's directory.
    :param url: of the backend.
    """

    __test__ = False  # for pytest: no test class

    def __init__(
        self,
        path: str | Path,
        url: str = "memory://?time=skip",
        *,
        workers: bool = True,
        plugins: Plugins | None = None,
    ) -> None:
        self._opening = open_app(path, url, workers=workers, plugins=plugins)
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
        """Start a workflow and give its result."""
        handle = await self.app.start(entry, *args, **options)
        return await handle.result(timeout=timeout)

    async def fails(self, entry: str, *args: Any, timeout: float = TIMEOUT_S, **options: Any) -> Error:
        """Start a workflow that must fail, and give its error."""
        handle = await self.app.start(entry, *args, **options)
        try:
            result = await handle.result(timeout=timeout)
        except Error as error:
            return error
        raise AssertionError(f"{entry} did not fail, but gave {result!r}")

    async def call(self, entry: str, *args: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Run a function."""
        return await self.app.call(entry, *args, context=context)

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
