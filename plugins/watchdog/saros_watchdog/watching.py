"""A small process beside a worker that notices what the worker's own threads cannot: code that holds Python's lock.

While C code holds the lock (a regular expression that never ends, a fault in an extension), no Python thread runs,
including that of `saros_watchdog.watchdog`. Therefore the worker writes into shared memory what it runs, and its
watchdog counts beats there. If the beats stop while something runs, this process prints that, has the backend record
it, and kills the worker.

It runs as a script, without site-packages, and imports only what it needs.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import Any, Final, NamedTuple

SLOT: Final = 2048
LOOP_SLOTS: Final = 8
"""How many slots are for nested activations on the event loop; the others are for threads."""
SLOTS: Final = 256
HEAD: Final = 64
SIZE: Final = HEAD + SLOT * SLOTS
"""Bytes of the shared memory: a counter of beats, then the slots, each 1 if it is in use, then an `Activation`."""
WORDS_S: Final = 30.0
"""How long recording may take, including the start of a process."""
TRACE_S: Final = 2.0
TICK_HZ: Final = os.sysconf("SC_CLK_TCK")


def tick_s(silence_s: float) -> float:
    """Return the seconds between two beats."""
    return min(0.5, silence_s / 5)


class Activation(NamedTuple):
    """What a slot shows, in three lines and a zero: both numbers of its thread, its name, and its note.

    :ivar thread: the system's number.
    :ivar ident: Python's.
    :ivar note: the data about the execution for `Backend.noted`.
    """

    thread: int
    ident: int
    name: str
    note: str


def busy_slots(memory: Any) -> list[Activation]:
    """Return what the worker runs: the event loop's activations from outermost to innermost, then the threads'."""
    found = []
    for at in range(HEAD, SIZE, SLOT):
        if memory[at]:
            shown, _, _ = memory[at + 1 : at + SLOT].partition(b"\0")
            numbers, name, note = shown.decode().split("\n", 2)
            thread, ident = numbers.split()
            found.append(Activation(int(thread), int(ident), name, note))
    return found


class _Threads:
    """The threads of a process, as far as the system reports them."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.used: dict[int, float] = {}  # seconds of CPU by thread, since `reset`
        self._last: dict[int, float] = {}

    def reset(self) -> None:
        self.used, self._last = {}, {}

    def lived(self, passed: float) -> float:
        """Return how much of `passed` seconds counts as blocked time.

        No time counts while the process is stopped, and only its CPU time while it is runnable, so a worker is not
        killed because the machine is slow or overloaded.
        """
        try:
            names = os.listdir(f"/proc/{self._pid}/task")
        except OSError:
            return 0.0 if self._stopped() else passed
        wants, used = False, 0.0
        for name in names:
            try:
                with open(f"/proc/{self._pid}/task/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # it has ended
            if fields[0] in b"TtDZX":
                return 0.0
            wants = wants or fields[0] == b"R"
            thread, cpu = int(name), (int(fields[11]) + int(fields[12])) / TICK_HZ
            step = cpu - self._last.get(thread, cpu)
            self._last[thread] = cpu
            self.used[thread] = self.used.get(thread, 0.0) + step
            used += step
        return min(passed, used) if wants else passed

    def _stopped(self) -> bool:
        """Return whether the process is stopped, on systems without /proc."""
        asked = ["ps", "-o", "state=", "-p", str(self._pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout[:1] == "T"


def culprit(running: list[Activation], used: dict[int, float], silent: float) -> Activation | None:
    """Return the activation that holds the lock: the busy thread's, or the only candidate; None if unknown."""
    busiest = max(used, key=lambda thread: used[thread], default=0)
    if used.get(busiest, 0.0) > silent / 2:
        own = [each for each in running if each.thread == busiest]
        return own[-1] if own else None
    return running[-1] if len({each.thread for each in running}) == 1 else None


def place(trace: str, ident: int, root: str) -> str:
    """Return file and line of a thread's innermost app code from the output of `faulthandler`, or an empty string."""
    for part in re.split(r"\n(?=\S)", trace):
        head = re.match(r"(?:Current thread|Thread) 0x([0-9a-f]+)", part)
        if head and int(head[1], 16) == ident:
            for file, line in re.findall(r'File "([^"\n]*)", line (\d+)', part):
                if root and os.path.realpath(file).startswith(root + os.sep):
                    return f"{os.path.relpath(os.path.realpath(file), root)}:{line}"
    return ""


class Watching:
    def __init__(self, pid: int, memory: Any, trace: int, given: dict[str, Any]) -> None:
        self._pid, self._memory, self._trace, self._given = pid, memory, trace, given
        self._silence_s = float(given["silence"])

    def run(self) -> None:
        """Watch until the worker ends."""
        threads = _Threads(self._pid)
        tick = tick_s(self._silence_s)
        silent, beats = 0.0, b""
        last = time.monotonic()
        while os.getppid() == self._pid:
            if select.select([0], [], [], tick)[0] and not os.read(0, 1):
                return
            now = time.monotonic()
            # Time in which this process or the machine was suspended does not count.
            passed, last = min(now - last, 2 * tick), now
            heard, beats = beats, bytes(self._memory[:8])
            running = busy_slots(self._memory) if beats == heard else []
            if not running:
                silent = 0.0
                threads.reset()
                continue
            silent += threads.lived(passed)
            if silent >= self._silence_s and bytes(self._memory[:8]) == beats:
                self._end(running, threads.used, silent)
                return

    def _end(self, running: list[Activation], used: dict[int, float], silent: float) -> None:
        found = culprit(running, used, silent)
        told = "Other workers take over its tasks when its leases end."
        if found is None:
            names = ", ".join(each.name for each in running[:3])
            more = f" and {len(running) - 3} others" if len(running) > 3 else ""
            problem = f"one of {names}{more} has kept its worker's Python lock for {silent:.1f} s"
        else:
            where = self._where(found.ident)
            at = f" at {where}" if where else ""
            problem = f"{found.name} has blocked its worker for {silent:.1f} s{at}, keeping Python's lock"
            told = self._noted(found.note, problem) or told
        os.kill(self._pid, signal.SIGKILL)
        line = f"saros: {problem}; this process is killed. {told}"
        line = "".join(each if each.isprintable() else "?" for each in line)  # nothing controls the terminal
        os.write(2, f"{line}\n".encode(errors="replace"))

    def _where(self, ident: int) -> str:
        if not self._given["signal"]:
            return ""
        os.kill(self._pid, self._given["signal"])
        until, text = time.monotonic() + TRACE_S, ""
        while time.monotonic() < until:
            time.sleep(0.1)
            longer = os.pread(self._trace, 1 << 20, 0).decode(errors="replace")
            if longer and longer == text:
                break
            text = longer
        return place(text, ident, os.path.realpath(self._given["root"]))

    def _noted(self, note: str, problem: str) -> str:
        """Have another process (`saros_watchdog.noting`), which may load the backend, record the execution."""
        if not note:
            return str(self._given["lost"])
        given = json.dumps({**self._given, "note": note, "problem": problem})
        argv = [sys.executable, "-m", "saros_watchdog.noting"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(self._given["path"])}
        try:
            done = subprocess.run(
                argv, input=given, capture_output=True, text=True, env=env, timeout=WORDS_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return "The backend could not record it in time."
        return done.stdout.strip() or "The backend could not record it."


def _watch() -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # it ends with the worker
    pid, memory_fd, trace = (int(text) for text in sys.argv[1:4])
    with os.fdopen(os.dup(0), "rb", buffering=0) as given:
        line = b""
        while not line.endswith(b"\n"):
            piece = given.read(1 << 16)
            if not piece:
                return
            line += piece
    Watching(pid, mmap.mmap(memory_fd, SIZE, prot=mmap.PROT_READ), trace, json.loads(line)).run()


if __name__ == "__main__":
    _watch()
