"""Processes whose clock can be set while they run: a library that is loaded before libc's own functions."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile int64_t *step;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_STEP"), O_RDONLY);
    step = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    if (id == CLOCK_REALTIME && step) now->tv_sec += *step;
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec found;
    int result = clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return result;
}

time_t time(time_t *into) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (into) *into = found.tv_sec;
    return found.tv_sec;
}
"""


def build(folder: Path) -> Path | None:
    """The library, built in that folder; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source = folder / "clock.c"
    source.write_text(SOURCE)
    library = source.with_suffix(".so")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
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

    def set(self, seconds: int) -> None:
        """Set it that much before or (below zero) behind the machine's."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
