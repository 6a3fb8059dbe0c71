"""The kind ``ready.file``: a file that is there while the app is served, for whoever waits for that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from saros import App
from saros.entries import Entry, Kind, Text

READY_FILE = Kind(
    "ready.file",
    role="service",
    doc="A file that exists while the app is served.",
    fields={"path": Text(required=True, doc="Where it is, relative to the app's directory.")},
)


def serve(app: App) -> AbstractAsyncContextManager[None] | None:
    """The files of an app, or None if it wants none."""
    entries = app.registry.of_kind(READY_FILE.name)
    return _files(app.registry.root, entries) if entries else None


@asynccontextmanager
async def _files(root: Path, entries: list[Entry]) -> AsyncIterator[None]:
    paths = [root / str(entry.get("path")) for entry in entries]
    for path in paths:
        path.write_text("ready\n", "utf-8")
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
