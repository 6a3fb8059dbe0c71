"""Waits for an execution and shows its progress: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from . import output
from .errors import Failed
from .timeline import Timeline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from saros.app.app import App
    from saros.app.handle import Handle

POLL_S = 1.0
"""The interval between two checks whether the execution is parked."""
LAST_LINES_S = 5.0
"""The time for reading the last events once the result is known."""


async def result_of(
    app: App, handle: Handle, *, timeout: float | None, quiet: bool, workers: asyncio.Task[None] | None = None
) -> Any:
    """Wait for the result of an execution.

    :param timeout: seconds.
    :param workers: the job that runs its workers in this process; when it ends, so does the wait.
    :raises Failed: the error of the execution.
    :raises Error: TIMEOUT.
    """
    from saros.model.background import LIMIT_S, Job, end_all
    from saros.model.errors import TIMEOUT, UNAVAILABLE, Error

    outcome = Job(handle.result(), f"the wait for {handle.id}")
    shown = None if quiet else Job(_show(app, handle, workers is None), "the progress")
    try:
        ends: set[asyncio.Task[Any]] = {outcome.task} if workers is None else {outcome.task, workers}
        await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if outcome.done():
            if shown is not None:
                await asyncio.wait({shown.task}, timeout=LAST_LINES_S)
            try:
                return await outcome.wait()
            except Error as error:
                raise Failed(error) from None
        if workers is not None and workers.done():
            workers.result()
            raise Error("the workers stopped before the workflow ended", UNAVAILABLE)
        hint = f"it goes on: saros result {handle.id}" if workers is None else "it is lost with this process"
        raise Error(f"{handle.id} did not end within {timeout:g} s", TIMEOUT, hint=hint)
    finally:
        await end_all([outcome, *([shown] if shown else [])], LIMIT_S, at_once=True)


async def _show(app: App, handle: Handle, elsewhere: bool) -> None:
    """Print events as they happen, and problems of executions elsewhere; those of this process are in its log."""
    from saros.model.errors import Error

    timeline = Timeline()
    try:
        async with _display(app, timeline), _problems(handle) if elsewhere else contextlib.nullcontext():
            async for line in handle.watch():
                row = timeline.row(line)
                if sys.stderr.isatty():
                    output.console(err=True).print(row.rich())
                else:
                    print(row.plain(), file=sys.stderr, flush=True)
    except Error as error:
        output.warn(f"progress cannot be shown: {error.message}")


@contextlib.asynccontextmanager
async def _display(app: App, timeline: Timeline) -> AsyncIterator[None]:
    """Show a spinner with the current wait below the lines, on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots", style="cyan")

    def render() -> RenderableType:
        spinner.update(text=timeline.waiting(app.clock.now()))
        return spinner

    console = output.console(err=True)
    with Live(console=console, get_renderable=render, refresh_per_second=8, transient=True):
        yield


@contextlib.asynccontextmanager
async def _problems(handle: Handle) -> AsyncIterator[None]:
    """Warn when the execution is parked, and why."""

    from saros.model.background import Job

    async def look() -> None:
        known = None
        while True:
            problem = (await handle.describe()).problem
            if problem and problem != known:
                output.warn(f"{handle.id} is parked until its code is repaired: {problem}")
            known = problem
            await asyncio.sleep(POLL_S)

    looking = Job(look(), f"the watch of {handle.id}")
    try:
        yield
    finally:
        await looking.end()
