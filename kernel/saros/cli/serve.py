"""`saros run`: workers and services until Ctrl-C."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..plain import one_line
from . import inputs, logs, session
from .errors import INTERRUPTED
from .options import AppPath, Backend, LogLevel

if TYPE_CHECKING:
    from ..app import App

EXAMPLE = "Example: saros run examples/orders --backend redis://localhost"

log = logging.getLogger("saros.run")


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command("run", rich_help_panel=panel, epilog=EXAMPLE)(serve)


def serve(
    app: AppPath,
    backend: Backend = None,
    log_level: LogLevel = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON objects instead of lines.")] = False,
    watchdog: Annotated[
        str,
        typer.Option(
            "--watchdog",
            metavar="TIME",
            help="End this process, with status 86, when code of the app blocks it for so long; 0 for never.",
        ),
    ] = "10s",
    wait: Annotated[
        str,
        typer.Option(
            "--wait", metavar="TIME", help="Wait so long for a server that is not up yet; 0 to fail at once."
        ),
    ] = "30s",
    no_services: Annotated[
        bool,
        typer.Option(
            "--no-services", help="Run workers only: no HTTP, no supervised processes, no schedules."
        ),
    ] = False,
) -> None:
    """Serve an app: its workers and services, until Ctrl-C or SIGTERM.

    Work that has begun is finished first; a second Ctrl-C ends at once.
    """
    logs.configure(log_level, as_json=log_json)
    limits = inputs.seconds(watchdog, "--watchdog") or 0.0, inputs.seconds(wait, "--wait") or 0.0
    session.run(_serve(session.target(backend), app, log_json, *limits, not no_services))


async def _serve(
    to: session.Target, path: Path, log_json: bool, watchdog: float, wait: float, services: bool
) -> None:
    import asyncio

    from ..background import Job

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        log.info("stopping: finishing what has begun (Ctrl-C again ends at once)")

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, asked)
    try:
        patience = session.Wait(wait, stop)
        async with session.app_on(
            to, path, workers=True, services=services, watchdog=watchdog, wait=patience
        ) as app:
            _tell(app, to, log_json, services)
            tune_collector()
            workers = app.start_workers(services=services)
            stopping = Job(stop.wait(), "the wait for a signal")
            await asyncio.wait({workers, stopping.task}, return_when=asyncio.FIRST_COMPLETED)
            await stopping.end()
            if workers.done():
                workers.result()
        log.info("stopped")
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def tune_collector() -> None:
    """Set Python's collector for a process that only serves: what is loaded now stays for good.

    Executions are freed by reference counting; the collector mostly walks them for nothing, so it comes less
    often than by default. A program that embeds Saros decides for itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _tell(app: App, to: session.Target, log_json: bool, services: bool) -> None:
    """Say what is served."""
    registry = app.registry
    served = {
        "app": str(registry.root),
        "backend": app.backend.url,
        "task queues": list(app.deployment.task_queues()),
        "workflows": [entry.id for entry in registry.of_role("workflow")],
        "functions": [entry.id for role in ("function", "process") for entry in registry.of_role(role)],
        "services": [
            f"{entry.id} ({entry.kind})"
            for entry in registry.of_role("service")
            if services and entry.kind not in ("temporal.worker", "process.host")
        ],
    }
    if log_json:
        log.info("serving", extra={"saros": {"message": "serving", "fields": served}})
    else:
        for what, value in served.items():
            text = value if isinstance(value, str) else ", ".join(value)
            if text:
                print(f"{what:<12} {one_line(text)}", file=sys.stderr, flush=True)
    if to.in_process:
        log.info("%s lives in this process only: no other command sees it, and nothing survives it", to.url)
