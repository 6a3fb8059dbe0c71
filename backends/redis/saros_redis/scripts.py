"""The Lua scripts. Each is one atomic operation on one partition."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_PRELUDE = ("base", "life", "take")


class Script(NamedTuple):
    name: str
    text: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """A script by its name, with what all of them begin with."""
    folder = files(__package__) / "scripts"
    text = b"".join((folder / f"{part}.lua").read_bytes() for part in (*_PRELUDE, name))
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())
