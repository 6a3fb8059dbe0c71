"""The lines of source at which code waits, when the app is at hand."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from saros.entries import Registry
from saros.interfaces.insight import Stack
from saros.model.text import cut

_FRAME: Final = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+):")
MOST_BYTES: Final = 1_000_000


class Frame(NamedTuple):
    """A frame of a stack, with its line of source if known."""

    text: str
    source: str = ""


@lru_cache(maxsize=64)
def _lines(path: Path, changed: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _line(paths: list[Path], frame: str) -> str:
    match = _FRAME.match(frame)
    if match is None:
        return ""
    for path in paths:
        if f"/{path}".endswith(f"/{match['file']}"):
            try:
                state = path.stat()
                found = _lines(path, state.st_mtime_ns) if state.st_size <= MOST_BYTES else []
            except OSError:  # the app has changed since it was loaded
                return ""
            number = int(match["line"])
            return cut(found[number - 1].strip(), 300) if 0 < number <= len(found) else ""
    return ""


def with_sources(registry: Registry, stack: Stack) -> list[tuple[str, list[Frame]]]:
    """Return what each coroutine waits for, with its frames."""
    paths = [path for entry in registry.entries.values() if (path := entry.source_path) is not None]
    return [
        (each.waits, [Frame(frame, _line(paths, frame)) for frame in each.frames])
        for each in stack.coroutines
    ]
