"""The backend ``audit://``: the in-memory store, and a file with one JSON line per committed workflow task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from saros.engine import StoreBackend
from saros.interfaces.backend import Backend
from saros.interfaces.store import OK, Commit
from saros.model.clock import RealClock
from saros.model.errors import INVALID, Error
from saros_memory.store import MemoryStore


def make(url: str) -> Backend:
    """A backend for an ``audit://`` URL.

    :raises Error: INVALID, when it names no file.
    """
    path = urlsplit(url).path
    if not path.strip("/"):
        raise Error(f"{url} names no file", INVALID, hint="for example audit:///tmp/commits.jsonl")
    # Whoever opens the same URL meets the same executions, as with a server.
    store = _opened.get(url) or AuditStore(url, RealClock(), Path(path))
    # The durable engine makes a backend of any store.
    return StoreBackend(store, store.clock)


_opened: dict[str, AuditStore] = {}


class AuditStore(MemoryStore):
    """See `saros.interfaces.store.Store`."""

    def __init__(self, url: str, clock: RealClock, path: Path) -> None:
        super().__init__(url, clock)
        self.clock = clock
        self._path = path
        self._users = 0

    async def open(self) -> None:
        self._users += 1
        _opened[self.url] = self

    async def close(self) -> None:
        self._users -= 1
        if not self._users:
            del _opened[self.url]

    async def commit(self, commits: Sequence[Commit]) -> list[str]:
        results = await super().commit(commits)
        with self._path.open("ab") as file:
            for commit, result in zip(commits, results, strict=True):
                ops = [record.op for record in commit.records]
                line = {"id": commit.run.id, "ok": result == OK, "at": commit.expected, "ops": ops}
                file.write(msgspec.json.encode(line) + b"\n")
        return results
