"""Opens the target of a command: an app on a backend, or only the backend."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import output
from .errors import Interrupted, WrongInput

if TYPE_CHECKING:
    from saros.app.app import App
    from saros.app.opening import Connect
    from saros.interfaces.deployment import Deployment

T = TypeVar("T")

ELSEWHERE = "give --backend, or set SAROS_BACKEND, to a server such as redis://localhost"


class Target(NamedTuple):
    """A backend's URL, and whether its executions live in this process only."""

    url: str
    in_process: bool


def target(url: str | None) -> Target:
    """Return the backend for a command.

    :raises WrongInput: when it is not a valid URL.
    :raises Error: NOT_FOUND when no plugin supplies it.
    """
    from saros.app.opening import DEFAULT_BACKEND
    from saros.app.plugins import installed
    from saros.model.errors import INVALID, Error

    url = url or DEFAULT_BACKEND
    try:
        return Target(url, installed().backend(url).in_process)
    except Error as error:
        if error.kind == INVALID:
            raise WrongInput(error.message, "--backend", error.hint or "") from None
        error.where = error.where or "--backend"
        raise


def run(work: Coroutine[Any, Any, T], interrupted: Callable[[], Interrupted] | None = None) -> T:
    """Run a command's work. After Ctrl-C, `interrupted` returns the message to show."""
    import asyncio

    import uvloop  # workers wait for many small answers, and need a fifth less CPU with it

    from .ending import bounded

    try:
        with bounded(asyncio.Runner(loop_factory=uvloop.new_event_loop)) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        raise interrupted() from None


@asynccontextmanager
async def app_on(
    to: Target,
    path: Path,
    *,
    workers: bool,
    services: bool = False,
    watchdog: float = 10.0,
    connect: Connect | None = None,
) -> AsyncIterator[App]:
    """Open an app, print its warnings, and check its code if it is to run here.

    Output of the app's code goes to stderr, because stdout is for the command's data.

    :param connect: how to wait for a server that is not up yet; by default, one attempt is made.
    :raises AppError: with every problem of the app.
    """
    from saros.app.loading import check_app
    from saros.app.opening import open_app

    def check(deployment: Deployment) -> None:
        output.warnings(deployment.registry)

    if workers:
        check_app(path)
    with redirect_stdout(sys.stderr):
        async with open_app(
            path,
            to.url,
            workers=workers,
            services=services,
            check=check,
            watchdog=watchdog,
            connect=connect,
        ) as app:
            yield app


@asynccontextmanager
async def client(url: str | None, path: Path | None = None) -> AsyncIterator[App]:
    """Open a backend without workers, with an app if there is one.

    :param path: the app; default: the working directory, if it holds an app.
    """
    from saros.app.opening import open_app
    from saros.model.errors import NOT_FOUND, Error

    to = target(url)
    async with open_app(_app_here() if path is None else path, to.url, workers=False) as app:
        try:
            yield app
        except Error as error:
            if error.kind == NOT_FOUND:
                await expect_something(app, to)
            raise


async def expect_something(app: App, to: Target) -> None:
    """Explain why a backend that lives in one process is empty.

    :raises Error: NOT_FOUND, if the backend is of that kind, and has neither an execution nor a worker.
    """
    from saros.model.errors import NOT_FOUND, Error

    if not to.in_process:
        return
    async for _ in app.list():
        return
    if await app.workers():
        return
    raise Error(
        f"{to.url} lives in one process, and this one has started nothing",
        NOT_FOUND,
        where="--backend",
        hint=f"run it with `saros start --wait`, or {ELSEWHERE}",
    )


def _app_here() -> Path | None:
    """Return the working directory if it holds an app that loads, else None."""
    here = Path()
    files = [*here.glob("*.yaml"), *here.glob("*.yml")]
    if not any(_declares_entries(file) for file in files if not file.name.startswith(".")):
        return None
    from saros.app.loading import load_app
    from saros.entries import AppError

    try:
        load_app(here)
    except AppError as error:
        count = len(error.problems)
        output.warn(
            f"the app in this directory is not used: it has {count} problem{'s' if count > 1 else ''}",
            hint="`saros check .` shows what is wrong",
        )
        return None
    return here


def _declares_entries(file: Path) -> bool:
    try:
        return re.search(r"^namespace\s*:", file.read_text(encoding="utf-8-sig"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False
