"""`saros call`: run a function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import inputs, logs, output, session
from ..errors import Failed
from ..parameters import VALUE_HELP, AppPath, Backend, Context, Json, LogLevel

EXAMPLE = """Example: saros call examples/orders app:charge_payment '{"amount": 99}'"""


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel, epilog=EXAMPLE)(call)


def call(
    app: AppPath,
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="The function or process.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="JSON", help=f"Its arguments: {VALUE_HELP}", show_default=False),
    ] = None,
    context: Context = None,
    backend: Backend = None,
    log_level: LogLevel = "",
    json: Json = False,
) -> None:
    """Run a function in this process, and print its result as JSON."""
    args = inputs.value_list(arguments or [], "argument")
    values = inputs.mapping(context, "--context")
    logs.configure(log_level or ("warning" if json else "info"))
    result = session.run(_call(session.target(backend), app, entry, args, values))
    output.data(result, compact=json)


async def _call(to: session.Target, path: Path, entry: str, args: list[Any], context: dict[str, Any]) -> Any:
    from saros.model.errors import Error

    async with session.app_on(to, path, workers=to.in_process) as app:
        found = inputs.entry(app.deployment, entry, ["function", "process"], "function")
        try:
            return await app.call(found.id, *args, context=context)
        except Error as error:
            raise Failed(error) from None
