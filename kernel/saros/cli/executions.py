"""`saros list`, `describe` and `history`: look at executions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..plain import json_visible, one_line
from . import output, session, timeline
from .options import Backend, ClientApp, ExecutionId, Json, RunId

if TYPE_CHECKING:
    from ..execution import Description


def add_to(cli: typer.Typer, panel: str) -> None:
    for name, command, example in (
        ("list", list_, """saros list --query "status = 'running' and customer_id = 'c-42'\""""),
        ("describe", describe, "saros describe order-123"),
        ("history", history, "saros history order-123 --json > order-123.json"),
    ):
        cli.command(name, rich_help_panel=panel, epilog=f"Example: {example}")(command)


def list_(
    query: Annotated[
        str,
        typer.Option(
            "--query",
            "-q",
            metavar="QUERY",
            help="Conditions on fields and search attributes.",
            show_default=False,
        ),
    ] = "",
    status: Annotated[
        str, typer.Option("--status", metavar="STATUS", help="Such as running or failed.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """List executions, newest first."""

    async def work() -> list[Description]:
        found: list[Description] = []
        async with session.client(backend, app) as opened:
            async for description in opened.list(query, status=status):
                found.append(description)
                if len(found) > limit:
                    break
            if not found:
                await session.expect_something(opened, session.target(backend))
        return found

    found = session.run(work())
    more, found = len(found) > limit, found[:limit]
    if json:
        output.plain([output.described(description) for description in found], compact=True)
    elif not found:
        output.note("there is none")
    else:
        output.table(
            ("ID", "TYPE", "STATUS", "STARTED", "TOOK"), [_row(description) for description in found], _STYLES
        )
    if more:
        output.note(f"there are more than {limit}: use --limit or --query")


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
    status = "parked" if description.problem else description.status
    return description.id, description.type, status, output.moment(description.start_time), took


def describe(
    id: ExecutionId, run_id: RunId = "", app: ClientApp = None, backend: Backend = None, json: Json = False
) -> None:
    """Tell what is known about an execution."""

    async def work() -> Description:
        async with session.client(backend, app) as opened:
            return await opened.get(id, run_id).describe()

    found = output.described(session.run(work()))
    if json:
        output.plain(found, compact=True)
        return
    attributes = found.pop("search_attributes"), found.pop("memo")
    for key, value in found.items():
        output.line(f"{key.replace('_', ' '):<18}{one_line(str(value))}")
    for title, values in zip(("search attribute", "memo"), attributes, strict=True):
        for key, value in values.items():
            output.line(f"{title:<18}{one_line(key)} = {json_visible(bytes(value).decode())}")


def history(
    id: ExecutionId,
    run_id: RunId = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the execution has ended.")
    ] = False,
    app: ClientApp = None,
    backend: Backend = None,
    json: Json = False,
) -> None:
    """Show an execution's history as a timeline; with --json, export it for `saros replay`."""

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
            else:
                for line in await handle.history():
                    shown.show(line)
            problem = (await handle.describe()).problem
            if problem:
                output.warn(f"{id} is parked until its code is repaired: {problem}")

    session.run(work())
