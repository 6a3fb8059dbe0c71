"""Announcements of workers, which show who works, with which code, and how busy they are."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import secrets
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from anyio import move_on_after

from ..interfaces.insight import InsightStore, Slots, Worker
from ..model.errors import Error
from ..model.execution import new_id
from ..model.timing import SECOND

BEAT_S: Final = 10.0
"""How often a worker repeats its announcement, which expires after three times as long."""
CODE: Final = (".yaml", ".yml", ".lua", ".py")
PARTING_S: Final = 2.0
FIRST: Final = "pid:[4026531836]"
"""The namespace of processes that Linux begins with."""


@cache
def _host() -> str:
    return socket.gethostname()


def identity() -> str:
    """Return ``pid@host`` of this process, which identifies the holder of a task or attempt.

    In a namespace of processes, such as a container's, it is ``pid@host/`` and four digits: many are number 1 there,
    one after another on the same host, or side by side.
    """
    return _identity(os.getpid())


@cache
def _identity(pid: int) -> str:
    """:param pid: of this process, which is another one after a fork."""
    try:
        own = os.readlink("/proc/self/ns/pid") != FIRST
    except OSError:  # not Linux
        own = False
    return f"{pid}@{_host()}" + (f"/{secrets.token_hex(2)}" if own else "")


def app_hash(root: Path) -> str:
    """Return twelve digits that identify this version of an app's files."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] not in "._" and name != "node_modules")
        for name in sorted(files):
            if name.endswith(CODE):
                path = Path(folder, name)
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                try:
                    digest.update(path.read_bytes())
                except OSError:  # deleted just now, or not readable: not part of the app
                    continue
    return digest.hexdigest()[:12]


class Announcer:
    """Announces one worker: call `announce` before it takes tasks, and `run` until it stops.

    :param slots: called at each announcement.
    :param version: the version of the app's code in this process; when it changes, the files are hashed again.
    """

    def __init__(
        self,
        store: InsightStore,
        root: Path,
        queues: tuple[str, ...],
        slots: Callable[[], list[Slots]],
        version: Callable[[], int],
        now: int,
    ) -> None:
        self._store = store
        self._root = root
        self._slots = slots
        self._version = version
        self._hashed = -1
        self._worker = Worker(
            new_id(),
            identity(),
            _host(),
            os.getpid(),
            importlib.metadata.version("saros"),
            "",
            list(queues),
            started=now,
        )

    async def announce(self) -> None:
        if self._version() != self._hashed:
            self._hashed = self._version()
            self._worker.app = await asyncio.to_thread(app_hash, self._root)
        self._worker.slots = self._slots()
        await self._store.beat(self._worker, int(3 * BEAT_S * SECOND))

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(BEAT_S)
                await self.announce()
        finally:
            with move_on_after(PARTING_S, shield=True):
                await self._part()

    async def _part(self) -> None:
        try:
            await self._store.beat(self._worker, 0)
        except Error:  # the server is away, and the announcement expires
            return
