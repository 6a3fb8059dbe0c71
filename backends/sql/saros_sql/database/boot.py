"""The steady clock of a database. It continues while no process has the database open, and nobody can set it.

While the machine runs, it is the machine's own steady clock plus a fixed offset, so setting the time of day does not
affect it. A restart of the machine (or a move to another one) resets the machine's clock. The time that has passed is
then taken from the time of day, which is stored together with the steady clock every few seconds.
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
    """Return an id that changes each time the machine starts; empty where the system has none."""
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
        """Read the offset between the clocks; after a restart of the machine, determine it anew."""
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

    def wall(self) -> int:
        """The time of day, in nanoseconds since 1970."""
        return time.time_ns()

    def save(self, tx: Transaction) -> None:
        """Store the two clocks' current readings, which `load` needs after a restart of the machine."""
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
