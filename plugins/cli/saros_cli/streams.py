"""The standard streams, which may be closed, full, or without a reader."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Final

_NAMES: Final = ("stdin", "stdout", "stderr")


def prepare() -> None:
    """Open missing standard streams, and make failed writes to stderr harmless.

    If one stayed closed, a file that is opened later would get its descriptor, and libuv would abort. Writing to
    a closed stdout fails, so that no result is lost without an error.
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
    """A stream that ignores failed writes, because there is nowhere else to report them."""

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
    """Make the interpreter's last flush succeed after a write has failed for good."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
