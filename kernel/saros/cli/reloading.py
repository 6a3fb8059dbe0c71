"""Loads an app that is served anew: at a signal, or when one of its files changes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..background import Job, end_all

if TYPE_CHECKING:
    from ..app import App

log = logging.getLogger("saros.run")

LOOK_S = 0.5
"""So often the files are looked at."""
SUFFIXES = (".lua", ".py", ".yaml", ".yml")

State = dict[str, tuple[int, int]]


async def run(app: App, outdated: asyncio.Event, *, watch: bool) -> None:
    """Load the app anew each time that `outdated` is set, and with `watch` when a file has changed."""
    watching = [Job(_watch(app, outdated), "the watch of the app's files")] if watch else []
    try:
        while True:
            await outdated.wait()
            outdated.clear()
            reload(app)
    finally:
        await end_all(watching, LOOK_S)


def reload(app: App) -> None:
    """Load the app anew, or say why the old version goes on."""
    from ..entries import AppError

    try:
        app.reload()
    except AppError as error:
        for problem in error.problems:
            log.error("%s", problem)
        log.error("the app was not loaded anew: the version of before goes on")
    else:
        log.info("the app was loaded anew")


async def _watch(app: App, outdated: asyncio.Event) -> None:
    known = _state(app)
    while True:
        await asyncio.sleep(LOOK_S)
        now = _state(app)
        while now != known:  # until whoever writes has written all
            known = now
            await asyncio.sleep(LOOK_S)
            now = _state(app)
            if now == known:
                outdated.set()


def _state(app: App) -> State:
    """When each file of the app was changed, and how long it is."""
    state: State = {}
    for file in _files(app):
        try:
            found = file.stat()
        except OSError:
            continue  # it is gone
        state[str(file)] = found.st_mtime_ns, found.st_size
    return state


def _files(app: App) -> Iterator[Path]:
    for folder, folders, files in os.walk(app.registry.root):
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and name != "node_modules"]
        yield from (Path(folder, name) for name in files if name.endswith(SUFFIXES))
