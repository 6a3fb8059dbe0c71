"""Opens what a command works on: an app on a backend, or only the backend."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import output
from .errors import Interrupted, WrongInput

if TYPE_CHECKING:
    from ..app import App
    from ..deployment import Deployment
    from ..errors import Error

T = TypeVar("T")

ELSEWHERE = "give --backend, or set SAROS_BACKEND, to a server such as redis://localhost"


class Target(NamedTuple):
    """A backend's URL, and whether all that it holds lives in this process."""

    url: str
    in_process: bool


def target(url: str | None) -> Target:
    """The backend that a command is to use.

    :raises WrongInput: when it is no URL.
    :raises Error: NOT_FOUND when no plugin supplies it.
    """
    from ..app import DEFAULT_BACKEND
    from ..errors import INVALID, Error
    from ..plugins import installed

    url = url or DEFAULT_BACKEND
    try:
        return Target(url, installed().backend(url).in_process)
    except Error as error:
        if error.kind == INVALID:
            raise WrongInput(error.message, "--backend", error.hint or "") from None
        error.where = error.where or "--backend"
        raise


def run(work: Coroutine[Any, Any, T], interrupted: Callable[[], Interrupted] | None = None) -> T:
    """Run a command's work. After Ctrl-C, `interrupted` may say something about it."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        if interrupted is None:
            raise
        raise interrupted() from None


@asynccontextmanager
async def app_on(to: Target, path: Path, *, workers: bool) -> AsyncIterator[App]:
    """An app, whose warnings are told, and whose code is checked when it is to run here.

    :raises AppError: with every problem.
    """
    from ..app import check_app, open_app

    def check(deployment: Deployment) -> None:
        output.warnings(deployment.registry)

    if workers:
        check_app(path)
    async with open_app(path, to.url, workers=workers, check=check) as app:
        yield app


@asynccontextmanager
async def client(url: str | None, path: Path | None = None) -> AsyncIterator[App]:
    """A backend to look at and to talk to, with an app when there is one.

    :param path: the app; default: the working directory, if it holds one.
    """
    from ..app import open_app
    from ..errors import NOT_FOUND, Error

    to = target(url)
    async with open_app(_app_here() if path is None else path, to.url, workers=False) as app:
        try:
            yield app
        except Error as error:
            if to.in_process and error.kind == NOT_FOUND:
                raise nothing_here(to) from None
            raise


def nothing_here(to: Target) -> Error:
    """Why nothing is found on a backend that lives in one process."""
    from ..errors import NOT_FOUND, Error

    return Error(
        f"{to.url} lives in one process, and this one has started nothing",
        NOT_FOUND,
        where="--backend",
        hint=f"run it with `saros start --wait`, or {ELSEWHERE}",
    )


def _app_here() -> Path | None:
    """The working directory, if it is an app that can be loaded."""
    here = Path()
    files = [*here.glob("*.yaml"), *here.glob("*.yml")]
    if not any(_declares_entries(file) for file in files):
        return None
    from ..app import load_app
    from ..entries import AppError

    try:
        load_app(here)
    except AppError as error:
        count = len(error.problems)
        output.warn(
            f"the app in this directory is not used: it has {count} problem{'s' if count > 1 else ''}",
            hint="`saros check .` tells what is wrong",
        )
        return None
    return here


def _declares_entries(file: Path) -> bool:
    try:
        return re.search(r"^namespace\s*:", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False
