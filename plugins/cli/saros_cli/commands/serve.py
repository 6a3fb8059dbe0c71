"""`saros run`: workers and services until Ctrl-C."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saros.model.text import one_line

from .. import inputs, logs, output, session
from ..errors import FAILURE, INTERRUPTED, Failed, Interrupted, WrongInput
from ..parameters import VALUE_HELP, AppPath, Backend, LogLevel
from ..waiting import Wait
from . import reloading

if TYPE_CHECKING:
    from saros.app.app import App

EXAMPLE = "Example: saros run examples/orders --backend redis://localhost"

log = logging.getLogger("saros.run")

WORKERS_S = 10.0
"""The time that workers get to stop, unless ``worker_stop_timeout`` is longer."""
STOP_S = 20.0
"""The time that this process gets to stop, beyond that of its services and workers, before it ends itself."""


def add_to(cli: typer.Typer, panel: str) -> None:
    cli.command("run", rich_help_panel=panel, epilog=EXAMPLE)(serve)


def serve(
    app: AppPath,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JSON]", help=f"Arguments for --exec: {VALUE_HELP}", show_default=False),
    ] = None,
    run: Annotated[
        str,
        typer.Option(
            "--exec",
            metavar="ENTRY",
            help="Run this function or process once the services have started, print its result, and stop.",
            show_default=False,
        ),
    ] = "",
    reload: Annotated[
        bool,
        typer.Option(
            "--reload", help="Reload the app when one of its files changes; SIGHUP does so as well."
        ),
    ] = False,
    backend: Backend = None,
    log_level: LogLevel = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON objects instead of lines.")] = False,
    watchdog: Annotated[
        str,
        typer.Option(
            "--watchdog",
            metavar="TIME",
            help="End this process with status 86 when code of the app blocks it for this long; 0 for never.",
        ),
    ] = "10s",
    wait: Annotated[
        str,
        typer.Option(
            "--wait",
            metavar="TIME",
            help="The longest wait for a server that is not up yet; 0 to fail at once.",
        ),
    ] = "30s",
    health: Annotated[
        str,
        typer.Option(
            "--health",
            metavar="ADDRESS",
            envvar="SAROS_HEALTH",
            help="Answer /healthz, /readyz and /metrics there, such as 127.0.0.1:9464.",
            show_default=False,
        ),
    ] = "",
    console: Annotated[
        bool,
        typer.Option(
            "--console", help="Also serve the console, at SAROS_CONSOLE or any free port of 127.0.0.1."
        ),
    ] = False,
    no_services: Annotated[
        bool,
        typer.Option(
            "--no-services", help="Run workers only: no HTTP, no supervised processes, no schedules."
        ),
    ] = False,
) -> None:
    """Serve an app: its workers and services, until Ctrl-C or SIGTERM.

    Running work finishes first; a second Ctrl-C ends at once.
    """
    if arguments and not run:
        raise WrongInput("only --exec takes arguments", "argument 2", "name an entry with --exec ENTRY")
    if console:
        _with_console(no_services)
    args = inputs.value_list(arguments or [], "argument")
    logs.configure(log_level, as_json=log_json)
    address = inputs.address(health, "--health") if health else None
    limits = inputs.seconds(watchdog, "--watchdog") or 0.0, inputs.seconds(wait, "--wait") or 0.0
    end = End()
    try:
        result = session.run(
            _serve(
                session.target(backend),
                app,
                log_json,
                *limits,
                not no_services,
                end,
                run,
                args,
                reload,
                address,
            )
        )
    finally:
        end.cancel()
    if run:
        output.data(result, compact=False)


def _with_console(no_services: bool) -> None:
    """Have the console's plugin serve beside the workers.

    :raises WrongInput: when nothing would.
    """
    from saros.app.plugins import installed

    if no_services:
        raise WrongInput("the console is a service", "--console", "leave --no-services out")
    if not any(service.name == "console" for service in installed().services()):
        raise WrongInput("the console is not installed", "--console", "install saros-console")
    os.environ.setdefault("SAROS_CONSOLE", "127.0.0.1:0")


class End:
    """Ends this process if it takes too long to stop, whatever the cause."""

    def __init__(self) -> None:
        self.limit_s = STOP_S
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        self._timer = threading.Timer(self.limit_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        log.error("this process has not stopped within %.0f s, so it ends now", self.limit_s)
        logging.shutdown()
        os._exit(FAILURE)


def _time_to_stop(app: App) -> float:
    """Return the seconds for services and workers of an app to stop, and for the rest of the process."""
    from saros.entries import parse_duration

    def longest(kind: str, path: str) -> float:
        given = [entry.get(path) for entry in app.registry.of_kind(kind)]
        return max((parse_duration(value) / 1e9 for value in given if value is not None), default=0.0)

    services = longest("process.service", "lifecycle.stop_timeout")
    workers = longest("temporal.worker", "worker_options.worker_stop_timeout")
    return services + max(workers, WORKERS_S) + STOP_S


async def _serve(
    to: session.Target,
    path: Path,
    log_json: bool,
    watchdog: float,
    wait: float,
    services: bool,
    end: End,
    run: str,
    args: list[Any],
    reload: bool,
    address: tuple[str, int] | None,
) -> Any:
    import asyncio

    from saros.app.loading import code_problems
    from saros.model.background import LIMIT_S, Job, end_all

    from ..health import probes

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        end.begin()
        log.info("stopping: finishing what has begun (Ctrl-C again ends at once)")

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    outdated = asyncio.Event()
    watched = (path, reloading.state_of(path)) if reload else None
    for number in signals:
        loop.add_signal_handler(number, outdated.set if number == signal.SIGHUP else asked)
    try:
        patience = Wait(to.url, wait, stop)
        opening = session.app_on(
            to, path, workers=True, services=services, watchdog=watchdog, connect=patience.connect
        )
        async with probes(address) as probed, opening as app:
            end.limit_s = _time_to_stop(app)
            code_problems(app.deployment)  # compiles now: a changed file takes effect only on a reload
            _tell(app, to, log_json, services)
            tune_collector()
            workers = app.start_workers(services=services)
            probed.serve(app, workers)
            reloads = Job(reloading.run(app, outdated, watched), "reloading")
            stopping = Job(stop.wait(), "the wait for a signal")
            work = Job(_run(app, run, args), run) if run else stopping
            await asyncio.wait({workers, stopping.task, work.task}, return_when=asyncio.FIRST_COMPLETED)
            done = work.done()
            await end_all([stopping, work, reloads], LIMIT_S, at_once=True)
            if workers.done():
                workers.result()
            if run and not done:
                raise Interrupted(f"{run} was stopped before it had ended")
            result = await work.wait()
        log.info("stopped")
        return result
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _run(app: App, run: str, args: list[Any]) -> Any:
    from saros.model.errors import Error

    entry = inputs.entry(app.deployment, run, ["function", "process"], "function")
    try:
        return await app.call(entry.id, *args)
    except Error as error:
        raise Failed(error) from None


def tune_collector() -> None:
    """Tune Python's garbage collector for a process that only serves.

    Everything loaded now stays for good. Reference counting frees executions, so the collector mostly walks them for
    nothing; it runs less often than by default. A program that embeds Saros decides for itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _tell(app: App, to: session.Target, log_json: bool, services: bool) -> None:
    """Log what the process serves."""
    registry = app.registry
    served = {
        "app": str(registry.root),
        "backend": app.backend.url,
        "task queues": list(app.deployment.registry.task_queues()),
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
        log.info(
            "%s lives in this process only: other commands cannot see it, and it ends with the process",
            to.url,
        )
