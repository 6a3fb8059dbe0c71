"""`saros check`, `new` and `schema`: write apps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import output
from ..errors import FAILURE, show_problems
from ..parameters import AppPath, Json

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from saros.entries import Problem


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command(rich_help_panel=panel, epilog="Example: saros new orders")(new)
    cli.command(rich_help_panel=panel, epilog="Example: saros check examples/orders")(check)
    cli.command(rich_help_panel=panel, epilog="Example: saros schema > saros.schema.json")(schema)


def check(app: AppPath, json: Json = False) -> None:
    """Check an app: report every problem in its YAML and its code, with file and line.

    The command also reads the code for what would fail at run time: a missing field of a module, a call of a missing
    entry, a global that is never assigned, a module that the entry does not list.
    """
    from saros.app.loading import check_app
    from saros.entries import AppError

    problems: list[Problem] = []
    try:
        registry: Any = check_app(app, thorough=True).registry
    except AppError as error:
        problems, registry = error.problems, error.rest
        if not json:
            show_problems(error)
    if json:
        warnings = registry.warnings if registry else []
        output.plain(
            {"ok": not problems, "errors": _plain(problems), "warnings": _plain(warnings)}, compact=True
        )
    elif registry is not None:
        output.warnings(registry)
    if problems:
        raise typer.Exit(FAILURE)
    if not json:
        count = len(registry.entries)
        output.line(f"{app} is fine: {count} {'entry' if count == 1 else 'entries'}")


def _plain(problems: list[Problem]) -> list[dict[str, Any]]:
    result = []
    for problem in problems:
        file, line, column = problem.position()
        told: dict[str, Any] = {"message": problem.message, "file": file}
        for key, value in (
            ("line", line),
            ("column", column),
            ("entry", problem.entry),
            ("hint", problem.hint),
        ):
            if value:
                told[key] = value
        result.append(told)
    return result


def new(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new or empty directory.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Write a small app to begin with: a workflow that calls functions, sleeps and receives signals."""
    from importlib.resources import files

    from saros.model.errors import ALREADY_EXISTS, Error

    if directory.exists() and not directory.is_dir():
        raise Error(f'"{directory}" is a file', ALREADY_EXISTS, hint="name a new directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise Error(f'the directory "{directory}" is not empty', ALREADY_EXISTS, hint="name a new directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = _copy(files("saros_cli") / "template", directory)
    except OSError as error:
        raise Error(f'cannot write to "{directory}": {error.strerror or error}') from None
    if json:
        output.plain({"written": [str(path) for path in written]}, compact=True)
        return
    for path in written:
        output.line(f"wrote {path}")
    output.line(f"run it:  saros start {directory} app:order_workflow '@{directory}/order.json' --wait")


def _copy(source: Traversable, target: Path) -> list[Path]:
    written: list[Path] = []
    for item in sorted(source.iterdir(), key=lambda item: item.name):
        if item.is_file():
            path = target / item.name
            path.write_text(item.read_text(encoding="utf-8"), encoding="utf-8")
            written.append(path)
    return written


def schema() -> None:
    """Print the JSON Schema of entries, for completion and checks in editors."""
    import json

    from saros.app.plugins import installed
    from saros.entries import json_schema

    output.line(json.dumps(json_schema(installed().kinds()), indent=2, ensure_ascii=False))
