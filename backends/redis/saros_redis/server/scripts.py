"""The Lua scripts. Each is one atomic operation on one partition."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

_COMMON: Final = ("base", "runs", "activities", "life", "take")
"""The common code at the start of every script, in this order."""


class Script(NamedTuple):
    name: str
    text: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """Load a script by its name, with the common part in front.

    :raises KeyError: when there is no such script.
    """
    common = _folder() / "common"
    parts = [*(common / f"{part}.lua" for part in _COMMON), _found()[name]]
    text = b"".join(part.read_bytes() for part in parts)
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """The names of all scripts, which are those of their files."""
    return sorted(_found())


@cache
def _found() -> dict[str, Traversable]:
    rooms = [room for room in _folder().iterdir() if room.is_dir() and room.name != "common"]
    return {file.name.removesuffix(".lua"): file for room in rooms for file in room.iterdir()}


def _folder() -> Traversable:
    return files(__package__.partition(".")[0]) / "scripts"
