"""`saros stack`, `workers`, `queues`, `schedules` and `top`: why something does not move."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saros.model.text import one_line

from .. import output, session
from ..parameters import Backend, ClientApp, ExecutionId, Json, RunId

if TYPE_CHECKING:
    from saros.app.app import App

    from ..overview import Overview


def add_to(cli: typer.Typer, panel: str) -> None:
    for name, command, example in (
        ("stack", stack, "saros stack order-123"),
        ("workers", workers, "saros workers"),
        ("queues", queues, "saros queues"),
        ("schedules", schedules, 'saros schedules pause app:nightly --reason "stocktaking"'),
        ("top", top, "saros top --once --json"),
    ):
        cli.command(name, rich_help_panel=panel, epilog=f"Example: {example}")(command)


@asynccontextmanager
async def _looked_at(backend: str | None, app: Path | None) -> AsyncIterator[App]:
    """Open a backend to look at all of it.

    :raises Error: NOT_FOUND when it lives in this process, which has started nothing.
    """
    async with session.client(backend, app) as opened:
        await session.expect_something(opened, session.target(backend))
        yield opened


def stack(
    id: ExecutionId, run_id: RunId = "", app: ClientApp = None, backend: Backend = None, json: Json = False
) -> None:
    """Show where the code of an execution waits; its history is replayed here, on the app's present code."""

    from ..overview import TAIL_CALL

    async def work() -> Any:
        async with session.client(backend, app) as opened:
            return await opened.get(id, run_id).stack()

    found = session.run(work())
    if json:
        output.plain(output.whole(found), compact=True)
        return
    for number, each in enumerate(found.coroutines, 1):
        waits = f", waits for {one_line(each.waits)}" if each.waits else ""
        output.line(f"coroutine {number}{waits}")
        for frame in each.frames or [TAIL_CALL]:
            output.line(f"  {one_line(frame)}")
    for title, names in (("topics", found.topics), ("queries", found.queries), ("updates", found.updates)):
        if names:
            output.line(f"{title:<10}{', '.join(map(one_line, names))}")
    if not found.coroutines:
        output.note("no code of it waits: it has ended, or has not begun")


def workers(app: ClientApp = None, backend: Backend = None, json: Json = False) -> None:
    """List the processes that serve task queues."""
    from .. import overview

    async def work() -> Any:
        async with _looked_at(backend, app) as opened:
            return await opened.workers(), opened.clock.now()

    found, now = session.run(work())
    if json:
        output.plain(output.whole(found), compact=True)
    elif not found:
        output.note("no worker is there; `saros run APP` starts one")
    else:
        output.table(overview.WORKERS, overview.worker_rows(found, now), {})


def queues(app: ClientApp = None, backend: Backend = None, json: Json = False) -> None:
    """List task queues: how many tasks wait, since when, and how many workers poll for them."""
    from .. import overview

    async def work() -> Any:
        async with _looked_at(backend, app) as opened:
            return await opened.queues(), opened.clock.now()

    found, now = session.run(work())
    if json:
        output.plain(output.whole(found), compact=True)
    elif not found:
        output.note("there is none")
    else:
        output.table(overview.QUEUES, overview.queue_rows(found, now), {})


class Verb(enum.StrEnum):
    LIST = "list"
    PAUSE = "pause"
    RESUME = "resume"
    TRIGGER = "trigger"


def schedules(
    verb: Annotated[Verb, typer.Argument(help="What to do.", show_default=False)] = Verb.LIST,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The schedule's entry id.", show_default=False)
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it is paused.", show_default=False)
    ] = "",
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """List schedules; or pause or resume one, or have it start its workflow now."""
    from .. import overview
    from ..errors import WrongInput

    if verb is not Verb.LIST and not name:
        raise WrongInput(f"which schedule is to {verb}?", "NAME", "`saros schedules` lists them")

    async def work() -> Any:
        async with _looked_at(backend, app) as opened:
            if verb is Verb.PAUSE:
                await opened.pause(name, reason)
            elif verb is Verb.RESUME:
                await opened.resume(name)
            elif verb is Verb.TRIGGER:
                return await opened.trigger(name), 0
            if not opened.registry.entries:
                output.note("no app is at hand, and schedules are part of an app; --app tells where it is")
            return await opened.schedules(), opened.clock.now()

    found, now = session.run(work())
    if verb is Verb.TRIGGER:
        output.plain({"id": found}, compact=True) if json else output.line(found)
        return
    if name:
        found = [each for each in found if each.id == name]
        if not found:
            raise WrongInput(f"the app has no schedule {name}", "NAME", "`saros schedules` lists them")
    if json:
        output.plain(output.whole(found), compact=True)
    elif not found:
        output.note("there is none")
    else:
        output.table(overview.SCHEDULES, overview.schedule_rows(found, now), {})


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=0.2, help="Seconds between looks.")] = 2.0,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Watch queues, workers and failing activities, until Ctrl-C."""
    from .. import overview

    async def work() -> None:
        import asyncio

        async with _looked_at(backend, app) as opened:
            if once or json:
                _told(await overview.overview(opened), json)
                return
            await _live(opened, interval, asyncio.sleep)

    session.run(work())


def _told(found: Overview, json: bool) -> None:
    from .. import overview

    if json:
        output.plain(output.whole(found), compact=True)
        return
    for line in overview.overview_lines(found):
        output.line(line)


async def _live(app: App, interval: float, sleep: Any) -> None:
    from rich.live import Live
    from rich.text import Text

    from .. import overview

    with Live(console=output.console(), screen=True, auto_refresh=False) as live:
        while True:
            lines = overview.overview_lines(await overview.overview(app))
            live.update(Text("\n".join(lines)), refresh=True)
            await sleep(interval)
