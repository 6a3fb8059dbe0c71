"""The files of the Lua library: ``lib/<room>/<chunk>.lua``. A chunk's name is unique across the rooms."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_LIB = Path(__file__).parent / "lib"


@cache
def chunk_files() -> dict[str, Path]:
    """Each chunk of the library by its name."""
    return {path.stem: path for path in _LIB.glob("*/*.lua")}
