"""`saros start`: start a workflow, and perhaps wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from .. import inputs, logs, output, session
from ..errors import Interrupted
from ..parameters import VALUE_HELP, AppPath, Backend, Context, Json, LogLevel, Timeout

if TYPE_CHECKING:
    from saros.app.handle import Handle

EXAMPLE = """Example: saros start examples/orders app:order_workflow '{"id": "123"}' --wait"""


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel, epilog=EXAMPLE)(start)


class Wanted(NamedTuple):
    """The workflow to start."""

    entry: str
    args: list[Any]
    id: str | None
    name: str
    options: dict[str, Any]
    context: dict[str, Any]


def start(
    app: AppPath,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The workflow.", show_default=False)],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="JSON", help=f"Its arguments: {VALUE_HELP}", show_default=False),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The workflow's id; default: a new one.", show_default=False),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            "--name", metavar="NAME", help="Register the workflow under a name.", show_default=False
        ),
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the result, and show progress.")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="KEY=VALUE",
            help="A start option, such as run_timeout=10m or id_reuse_policy=reject_duplicate.",
            show_default=False,
        ),
    ] = None,
    context: Context = None,
    timeout: Timeout = None,
    backend: Backend = None,
    log_level: LogLevel = "",
    json: Json = False,
) -> None:
    """Start a workflow, and print its pid, or with --wait its result.

    If a workflow with that --id is already running, the command joins it and says so; with
    -o id_conflict_policy=fail, that is an error.

    On memory:// the workflow lives in this process, so the command also runs it and always waits.
    """
    seconds = inputs.seconds(timeout)
    wanted = Wanted(
        entry,
        inputs.value_list(arguments or [], "argument"),
        id,
        name,
        inputs.options(option or []),
        inputs.mapping(context, "--context"),
    )
    logs.configure(log_level or ("warning" if json else "info"))
    to = session.target(backend)
    started: list[Handle] = []

    def interrupted() -> Interrupted:
        if to.in_process:
            return Interrupted("interrupted; the workflow is lost with this process")
        if not started:
            return Interrupted("interrupted before the workflow was started")
        return Interrupted("interrupted; the workflow goes on", f"saros result {started[0].id}")

    result = session.run(_start(to, app, wanted, wait, seconds, json, started), interrupted)
    if wait or to.in_process:
        output.data(result, compact=json)
    elif json:
        told = {"id": result.id, "run_id": result.run_id, "pid": result.pid, "created": result.created}
        output.plain(told, compact=True)
    else:
        output.line(result.pid)


async def _start(
    to: session.Target,
    path: Path,
    wanted: Wanted,
    wait: bool,
    timeout: float | None,
    quiet: bool,
    started: list[Handle],
) -> Any:
    """Return the workflow's result, or its handle if the command does not wait."""
    from ..progress import result_of

    async with session.app_on(to, path, workers=to.in_process) as app:
        entry = inputs.entry(app.deployment, wanted.entry, ["workflow"], "workflow")
        if to.in_process and not wait and not quiet:
            output.note(f"{to.url} lives in this process only, so this waits for the workflow as with --wait")
        handle = await app.start(
            entry.id,
            *wanted.args,
            id=wanted.id,
            name=wanted.name,
            options=wanted.options,
            context=wanted.context,
        )
        started.append(handle)
        if not handle.created and not (quiet and not wait):
            output.note(f"{handle.id} is already running: joined it; it keeps its own input")
        if not wait and not to.in_process:
            return handle
        workers = app.start_workers() if to.in_process else None
        return await result_of(app, handle, timeout=timeout, quiet=quiet, workers=workers)
