"""The command ``saros entries``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def entries(
    app: Annotated[Path, typer.Argument(help="The app's directory.")],
    kind: Annotated[str, typer.Option(help="Only entries of this kind.")] = "",
) -> None:
    """List an app's entries."""
    from saros.app.loading import load_app

    for entry in load_app(app).registry.entries.values():
        if kind in ("", entry.kind):
            typer.echo(f"{entry.kind:<16} {entry.id}")
