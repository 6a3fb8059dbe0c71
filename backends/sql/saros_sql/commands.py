"""The commands ``saros db``: info, backup, vacuum, migrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saros.model.text import json_visible, one_line

if TYPE_CHECKING:
    from .options import Options

Url = Annotated[
    str,
    typer.Argument(
        envvar="SAROS_BACKEND",
        help="The database, such as sqlite:///shop.db or postgresql://host/shop.",
        show_default=False,
    ),
]
db = typer.Typer(no_args_is_help=True, help="Inspect and maintain a sqlite:// or postgresql:// database.")


def _maintenance(url: str) -> tuple[Any, Options]:
    """The module for a database, and its options."""
    from .dialects import need_driver
    from .options import parse

    options = parse(url)
    if not options.server:
        from .database import maintenance

        return maintenance, options
    need_driver(options)
    from .postgres import maintenance as on_server

    return on_server, options


@db.command(epilog="Example: saros db info sqlite:///shop.db --check")
def info(
    url: Url,
    check: Annotated[
        bool, typer.Option("--check", help="Read the whole database and report damage.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a database contains: schema, sizes, executions, pending work."""
    maintenance, options = _maintenance(url)
    found = maintenance.info(options, check=check)
    if json:
        import msgspec

        typer.echo(json_visible(msgspec.json.encode(found._asdict()).decode()))
    else:
        lines = {"path": found.path, "schema": found.schema, "size": f"{found.size:,} bytes"}
        for what, size in (("log", found.log), ("free", found.free)):
            if size is not None:
                lines[what] = f"{size:,} bytes"
        lines["sessions"] = found.sessions
        lines |= {what: f"{number:,}" for what, number in {**found.executions, **found.waiting}.items()}
        for what, value in lines.items():
            typer.echo(f"{what:<15} {one_line(str(value))}")
        for line in found.damage or (["none"] if check else []):
            typer.echo(f"{'damage':<15} {one_line(line)}")
    if found.damage:
        raise typer.Exit(1)


@db.command(epilog="Example: saros db backup sqlite:///shop.db /backups/shop-2026-01-31.db")
def backup(
    url: Url,
    target: Annotated[Path, typer.Argument(help="The file to create.", show_default=False)],
) -> None:
    """Copy a SQLite database while it is in use. The target file appears only once the copy is complete.

    For PostgreSQL, use pg_dump.
    """
    maintenance, options = _maintenance(url)
    size = maintenance.backup(options, target)
    typer.echo(f"{one_line(str(target))} has {size:,} bytes")


@db.command(epilog="Example: saros db vacuum sqlite:///shop.db")
def vacuum(url: Url) -> None:
    """Return the space of deleted executions to the disk. Workers wait while this runs."""
    maintenance, options = _maintenance(url)
    before, after = maintenance.vacuum(options)
    typer.echo(f"{before:,} bytes before, {after:,} bytes after")


@db.command(epilog="Example: saros db migrate sqlite:///shop.db")
def migrate(url: Url) -> None:
    """Migrate a database to the schema of this version. Stop its workers and make a backup first."""
    maintenance, options = _maintenance(url)
    before, after = maintenance.migrate(options)
    typer.echo(f"schema {after}: nothing to do" if before == after else f"schema {before} became {after}")
