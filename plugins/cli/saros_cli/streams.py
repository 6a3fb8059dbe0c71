"""The standard streams, which may be closed, full, or left by their reader."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Final

_NAMES: Final = ("stdin", "stdout", "stderr")


def prepare() -> None:
    """Make sure that there are standard streams, and that what cannot be told on stderr ends no command.

    Where one was closed, files that are opened later would get its number, and libuv aborts. A closed stdout
    refuses to be written, so that no result is lost without an error.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number < 2 else os.O_WRONLY)  # gets the lowest free number
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    stderr: Any = _Lenient(sys.stderr)
    sys.stderr = stderr


class _Lenient:
    """A stream whose failures are nobody's: there is no other place to tell them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def give_up(stream: Any) -> None:
    """Let the interpreter's own last flush succeed, after a write has failed for good."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
