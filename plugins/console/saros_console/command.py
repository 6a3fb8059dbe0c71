"""`saros console`: the console of a backend, until Ctrl-C."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def add_to(cli: typer.Typer) -> None:
    cli.command(
        "console",
        rich_help_panel="Look",
        epilog="Example: saros console --backend redis://localhost --app orders",
    )(console)


def console(
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "-b",
            metavar="URL",
            envvar="SAROS_BACKEND",
            help="Where workflows live.",
            show_default=False,
        ),
    ] = None,
    app: Annotated[
        Path | None,
        typer.Option(
            "--app",
            metavar="DIR",
            help="The app: to start workflows and to see where they wait.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any free one.")] = 0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only show; the server refuses actions.")
    ] = False,
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="TEXT",
            envvar="SAROS_CONSOLE_TOKEN",
            show_default=False,
            help="What people must know to come in; needed unless HOST is this machine only.",
        ),
    ] = "",
    user_header: Annotated[
        str,
        typer.Option(
            "--user-header",
            metavar="NAME",
            show_default=False,
            help="The header in which a proxy tells who somebody is. Only the proxy may reach this port.",
        ),
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            "--url", metavar="URL", show_default=False, help="Where people reach it, when that is a proxy."
        ),
    ] = "",
    trace_url: Annotated[
        str,
        typer.Option(
            "--trace-url",
            metavar="URL",
            show_default=False,
            help="Where traces are shown, such as http://localhost:16686/trace/{trace}.",
        ),
    ] = "",
) -> None:
    """See and steer executions in a browser, until Ctrl-C."""
    import asyncio

    from .server import Settings, alone

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(alone(backend, app, Settings(host, port, read_only, token, user_header, url, trace_url)))
