"""Processes whose clock can be set while they run: a library that is loaded before libc's own functions."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("set_clock.c")


def build(folder: Path) -> Path | None:
    """The library, built in that folder; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "set_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Clock:
    """The time of day of the processes that run with `environment`.

    Programs that ask the kernel themselves, as those in Go do, do not heed it.

    :param library: what `build` gave.
    :param file: where the clock is kept; each has its own.
    """

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_STEP": str(file)}
        if not file.exists():
            file.write_bytes(struct.pack("q", 0))

    @classmethod
    def inherited(cls) -> Clock | None:
        """That of this process, if whoever started it gave it one."""
        library, file = os.environ.get("LD_PRELOAD"), os.environ.get("CLOCK_STEP")
        return cls(Path(library), Path(file)) if library and file else None

    def set(self, seconds: float) -> None:
        """Set it that much before or (below zero) behind the machine's."""
        with self._file.open("r+b") as file:  # the processes have it mapped
            file.write(struct.pack("q", round(seconds * 1e9)))
