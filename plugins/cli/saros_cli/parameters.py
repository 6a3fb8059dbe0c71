"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AppPath = Annotated[Path, typer.Argument(metavar="APP", help="The app's directory.", show_default=False)]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.", show_default=False)]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="URL",
        envvar="SAROS_BACKEND",
        help="Where workflows live: memory:// (default), redis://host:port/db, temporal://host:port/namespace.",
        show_default=False,
    ),
]
ClientApp = Annotated[
    Path | None,
    typer.Option(
        "--app",
        metavar="DIR",
        help="The app's directory, if needed; default: this directory, if it holds an app.",
        show_default=False,
    ),
]
RunId = Annotated[
    str,
    typer.Option(
        "--run-id", metavar="RUN", help="A particular run; default: the newest.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print data only, as JSON.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.", show_default=False)]
Context = Annotated[
    str | None,
    typer.Option(
        "--context", metavar="JSON", help="The values of `ctx` in the code, as an object.", show_default=False
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help='The longest wait, such as "30s".', show_default=False),
]
AnswerTimeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help='The longest wait for the answer, such as "30s".',
        show_default=False,
    ),
]
LogLevel = Annotated[
    str,
    typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.", show_default=False),
]

VALUE_HELP = "JSON, @FILE for a file with JSON, or - for stdin."
