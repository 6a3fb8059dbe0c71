"""Reloads an app that is being served, on a signal or when one of its files changes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from saros.model.background import Job, end_all

if TYPE_CHECKING:
    from saros.app.app import App

log = logging.getLogger("saros.run")

LOOK_S = 0.5
"""The interval between two checks of the files."""
SUFFIXES = (".lua", ".py", ".yaml", ".yml")

State = dict[str, tuple[int, int]]


async def run(app: App, outdated: asyncio.Event, watched: tuple[Path, State] | None) -> None:
    """Reload the app each time `outdated` is set or a file changes.

    :param watched: the directory of the files, and their state before the app was loaded; None watches no files.
    """
    watching = [Job(_watch(*watched, outdated), "the watch of the app's files")] if watched else []
    try:
        while True:
            await outdated.wait()
            outdated.clear()
            reload(app)
    finally:
        await end_all(watching, LOOK_S)


def reload(app: App) -> None:
    """Reload the app; if that fails, log the reason and keep the old version."""
    from saros.entries import AppError

    try:
        app.reload()
    except AppError as error:
        for problem in error.problems:
            log.error("%s", problem)
        log.error("the app was not reloaded: the previous version stays in use")
    else:
        log.info("the app was reloaded")


async def _watch(root: Path, known: State, outdated: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        now = state_of(root)
        while now != known:  # until nobody writes any more
            known = now
            await asyncio.sleep(LOOK_S)
            now = state_of(root)
            if now == known:
                outdated.set()


def state_of(root: Path) -> State:
    """Return the modification time and size of each file of an app."""
    state: State = {}
    for file in _files(root):
        try:
            found = file.stat()
        except OSError:
            continue  # deleted in the meantime
        state[str(file)] = found.st_mtime_ns, found.st_size
    return state


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and name != "node_modules"]
        yield from (Path(folder, name) for name in files if name.endswith(SUFFIXES))
