"""`saros list`, `count`, `describe` and `history`: look at executions."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saros.model.text import json_visible, one_line

from .. import output, session, timeline
from ..parameters import Backend, ClientApp, ExecutionId, Json, RunId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from saros.app.app import App
    from saros.app.handle import Handle
    from saros.model.execution import Description
    from saros.model.presentation import Line

PARKED = "parked"
"""The status shown for a running execution whose workflow task waits until its code is repaired."""
_Query = Annotated[
    str,
    typer.Option(
        "--query",
        "-q",
        metavar="QUERY",
        help="Conditions on fields and search attributes.",
        show_default=False,
    ),
]
_Status = Annotated[
    str,
    typer.Option(
        "--status", metavar="STATUS", help="A status, such as running, parked or failed.", show_default=False
    ),
]


def add_to(cli: typer.Typer, panel: str) -> None:
    for name, command, example in (
        ("list", list_, """saros list --query "status = 'running' and customer_id = 'c-42'\""""),
        ("count", count, "saros count --query \"start_time > now - 1h and not status = 'completed'\""),
        ("describe", describe, "saros describe order-123"),
        ("history", history, "saros history order-123 --json > order-123.json"),
    ):
        cli.command(name, rich_help_panel=panel, epilog=f"Example: {example}")(command)


def list_(
    query: _Query = "",
    status: _Status = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    cursor: Annotated[
        str,
        typer.Option(
            "--cursor", metavar="CURSOR", help="Go on where the list before ended.", show_default=False
        ),
    ] = "",
    wide: Annotated[
        bool, typer.Option("--wide", "-w", help="Also tell attempts, and what each waits for.")
    ] = False,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """List executions, newest first."""

    async def work() -> tuple[list[Description], str, list[str]]:
        async with session.client(backend, app) as opened:
            found, following = await _page(opened, query, status, limit, cursor)
            if not found and not cursor:
                await session.expect_something(opened, session.target(backend))
                await _expect_known_names(opened, query)
            if not wide:
                return found, following, []
            from .. import overview

            return found, following, await overview.waits_of(opened, found)

    found, following, waits = session.run(work())
    if json:
        told = [output.described(description) for description in found]
        for each, said in zip(told, waits, strict=False):
            each["waits_for"] = said
        output.plain(told, compact=True)
    elif not found:
        output.note("no executions found")
    else:
        rows = [_row(description) for description in found]
        titles: tuple[str, ...] = ("ID", "TYPE", "STATUS", "STARTED", "TOOK")
        if wide:
            titles = (*titles, "ATTEMPT", "WAITS FOR")
            rows = [
                (*row, str(each.attempt), said) for row, each, said in zip(rows, found, waits, strict=True)
            ]
        output.table(titles, rows, _STYLES)
    if following:
        output.note(f"there are more than {limit}: use --limit, --query, or --cursor {following}")


async def _page(app: App, query: str, status: str, limit: int, cursor: str) -> tuple[list[Description], str]:
    """A part of the list, and the cursor of the next one."""
    from saros.insight.parked import troubled_page, with_problems
    from saros.insight.query import selecting

    if status == PARKED:
        page = await troubled_page(app.backend, PARKED, query, limit, cursor)
        return page.items, page.cursor
    page = await app.page(selecting(query, status), limit=limit, cursor=cursor)
    return await with_problems(app.backend, page.items), page.cursor


_LOOKED_AT = 100
"""The number of newest executions to search for an attribute whose condition selected nothing."""


async def _expect_known_names(app: App, query: str) -> None:
    """Note search attributes of a query that none of the newest executions has.

    :raises Error: INVALID when one of their attributes has a similar name.
    """
    from saros.entries import did_you_mean
    from saros.insight.query import parse
    from saros.model.errors import INVALID, Error
    from saros.model.search import conditions

    names = {condition.name for condition in conditions(parse(query)) if not condition.field}
    if not names:
        return
    known: set[str] = set()
    looked_at = 0
    async for found in app.list():
        known |= found.search_attributes.keys()
        looked_at += 1
        if looked_at == _LOOKED_AT:
            break
    for name in sorted(names - known):
        hint = did_you_mean(name, known)
        if hint:
            raise Error(f"no execution has the search attribute {name}", INVALID, hint=hint)
        output.note(f"none of the newest executions has the search attribute {name}")


def count(
    query: _Query = "",
    status: _Status = "",
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Count executions."""

    async def work() -> int:
        async with session.client(backend, app) as opened:
            if status == PARKED:
                from saros.insight.parked import troubled

                return sum([1 async for _ in troubled(opened.backend, PARKED, query)])
            return await opened.count(query, status=status)

    found = session.run(work())
    if json:
        output.plain({"count": found}, compact=True)
    else:
        output.line(str(found))


_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "terminated": "red",
    "timed_out": "red",
    "canceled": "yellow",
    "parked": "bold red",
}


def _row(description: Description) -> tuple[str, ...]:
    took = (
        "" if description.close_time is None else output.span(description.close_time - description.start_time)
    )
    return description.id, description.type, _status(description), output.moment(description.start_time), took


def _status(description: Description) -> str:
    return PARKED if description.problem else description.status


def describe(
    id: ExecutionId, run_id: RunId = "", app: ClientApp = None, backend: Backend = None, json: Json = False
) -> None:
    """Tell about an execution: what it waits for and likely why, or its result or its error."""
    from .. import overview

    async def work() -> tuple[Description, dict[str, Any], overview.Insight, int]:
        async with session.client(backend, app) as opened:
            opened.get(id, run_id)  # refuses what is no text
            description = await opened.backend.describe(id, run_id)
            end = await _end(opened.get(id, description.run_id), description)
            insight = await overview.insight_of(opened, id, description.run_id)
            return description, end, insight, opened.clock.now()

    description, end, insight, now = session.run(work())
    found = output.described(description)
    if json:
        under_way = {"pending": insight.pending, "reason": insight.reason, "stack": insight.stack}
        if insight.no_stack:
            under_way["no_stack"] = insight.no_stack
        output.plain({**found, **end, **output.whole(under_way)}, compact=True)
        return
    attributes = found.pop("search_attributes"), found.pop("memo")
    found["status"] = _status(description)
    if "result" in end:
        found["result"] = output.json_text(bytes(end["result"]))
    elif "error" in end:
        found["error"] = f"{end['error'].message} ({end['error'].kind})"
    for key, value in found.items():
        output.line(f"{key.replace('_', ' '):<18}{one_line(str(value))}")
    for title, values in zip(("search attribute", "memo"), attributes, strict=True):
        for key, value in values.items():
            output.line(f"{title:<18}{one_line(key)} = {json_visible(bytes(value).decode())}")
    for line in overview.pending_lines(insight, now):
        output.line(line)


async def _end(handle: Handle, description: Description) -> dict[str, Any]:
    """Return the ``result`` of an execution, or its ``error``."""
    import msgspec

    from saros.model import values
    from saros.model.errors import Error
    from saros.model.execution import CONTINUED, RUNNING

    if description.status in (RUNNING, CONTINUED):
        return {}
    try:
        return {"result": msgspec.Raw(values.encode(await handle.result()))}
    except Error as error:
        return {"error": values.error_data(error)}


async def _newest(lines: AsyncIterator[Line], count: int) -> Iterable[Line]:
    """Return the last lines, in their order."""
    kept: deque[Line] = deque(maxlen=count)
    async for line in lines:
        kept.append(line)
    return kept


def history(
    id: ExecutionId,
    run_id: RunId = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow new events until the execution ends.")
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", "-n", min=1, help="Show only this many of the newest events.", show_default=False
        ),
    ] = None,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Show an execution's history as a timeline; with --json, export it for `saros replay`."""
    if last and (follow or json):
        raise typer.BadParameter("it cannot be used with --follow or --json", param_hint="--last")

    async def work() -> None:
        async with session.client(backend, app) as opened:
            handle = opened.get(id, run_id)
            if json:
                output.plain(await handle.export(), compact=True)
                return
            shown = timeline.Printer()
            if follow:
                async for line in handle.watch():
                    shown.show(line)
            elif last:
                for line in await _newest(handle.lines(), last):
                    shown.show(line)
            else:
                async for line in handle.lines():
                    shown.show(line)
            problem = (await handle.describe()).problem
            if problem:
                output.warn(f"{id} is parked until its code is repaired: {problem}")

    session.run(work())
