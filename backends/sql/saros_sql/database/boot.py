"""The steady clock of a database: it goes on while nothing is open, and nobody sets it.

As long as the machine runs, it is the machine's own steady clock at a fixed distance, and setting the time of day
does nothing to it. After a restart of the machine (or on another one) that clock has begun anew. How much time has
passed meanwhile is then told by the time of day, which is noted along with the steady clock every few seconds.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Final

from saros.model.clock import steady_ns
from saros.model.timing import SECOND

from .transaction import Transaction

SAVE_NS: Final = 10 * SECOND


@cache
def boot_id() -> str:
    """What names the time since this machine was started; empty where nothing does."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(
                command, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
    return ""


class SteadyClock:
    """The database's steady clock, as one connection reads it."""

    def __init__(self) -> None:
        self._ahead = 0
        self._saved = 0

    def now(self) -> int:
        return steady_ns() + self._ahead

    def load(self, tx: Transaction) -> None:
        """Read the distance of the clocks; after a restart of the machine, settle it."""
        here, wall, boot = steady_ns(), time.time_ns(), boot_id()
        row = tx.one("SELECT boot, ahead, steady, wall FROM clock")
        if row is None:
            self._ahead = wall - here
            tx.run(
                "INSERT INTO clock (one, boot, ahead, steady, wall) VALUES (1, ?, ?, ?, ?)",
                boot,
                self._ahead,
                self.now(),
                wall,
            )
            return
        known, ahead, steady, before = row
        if known == boot and (boot or here + ahead >= steady):
            self._ahead = ahead
        else:
            self._ahead = steady + max(0, wall - before) - here
        self._save(tx, wall)

    def save(self, tx: Transaction) -> None:
        """Have the clocks known that show the same time, for when the machine was restarted."""
        if steady_ns() - self._saved >= SAVE_NS:
            self._save(tx, time.time_ns())

    def _save(self, tx: Transaction, wall: int) -> None:
        self._saved = steady_ns()
        tx.run(
            "UPDATE clock SET boot = ?, ahead = ?, steady = ?, wall = ?",
            boot_id(),
            self._ahead,
            self.now(),
            wall,
        )
