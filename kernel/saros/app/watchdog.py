"""The last resort: ends the process when a program blocks it.

The sandbox ends code that runs for too long. What it cannot end (code that loops in C, a fault in a library)
stands still together with every other execution of the process, whose leases are kept all the while. A thread
that needs no event loop notices it, says so, lets the backend note it, and ends the process, so that others go
on with the rest.

Programs report to `watch` when an activation begins and ends. A thread can only run while the code that blocks
has let go of Python's lock, as Lua does.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from ..model.text import one_line

if TYPE_CHECKING:
    from ..interfaces.program import Facts

STATUS: Final = 86
"""The exit status of a process that was ended."""
SILENCE_S: Final = 10.0
"""How long an activation may be silent, unless an option says otherwise."""
LAST_WORDS_S: Final = 5.0
"""What the backend gets to note it in."""

Blocked = Callable[["Facts", str], Awaitable[str]]
"""Notes, on an event loop of its own, that an execution has blocked its process; gives what else to say."""


class Watch:
    """The activations that run in this process: mostly none or one, inside of it those that it causes."""

    def __init__(self) -> None:
        self.running: list[Any] = []  # the `Facts` of their programs
        self.moves = 0  # how often anything happened

    def begin(self, facts: Any) -> None:
        self.running.append(facts)
        self.moves += 1

    def end(self) -> None:
        self.running.pop()
        self.moves += 1

    def alive(self) -> None:
        """Hear that the present activation has got further."""
        self.moves += 1


watch: Final = Watch()


class Watchdog:
    """:param silence_s: an activation may be silent for so many seconds.
    :param blocked: see `Blocked`.
    """

    def __init__(self, silence_s: float, blocked: Blocked) -> None:
        self._silence_s = silence_s
        self._blocked = blocked
        self._tick = min(0.5, silence_s / 5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saros-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; harmless when it watches already."""
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        silent, moves = 0.0, -1
        last = time.monotonic()
        while not self._stop.wait(self._tick):
            now = time.monotonic()
            # After a pause of all of the process (a debugger, SIGSTOP) nothing is to blame for the time.
            passed, last = min(now - last, 2 * self._tick), now
            running = list(watch.running)
            silent = silent + passed if running and watch.moves == moves else 0.0
            moves = watch.moves
            if silent >= self._silence_s:
                self._end(running[-1], silent)

    def _end(self, facts: Any, silent: float) -> None:
        """Say what blocks the process, and end it."""
        name = one_line(facts.name)
        problem = f"{name} has blocked its worker for {silent:.1f} s"
        told: list[str] = []
        words = threading.Thread(target=self._last_words, args=(facts, problem, told), daemon=True)
        words.start()
        words.join(LAST_WORDS_S)
        told = told or ["the backend could not note it in time"]
        line = one_line(f"saros: {problem}; this process ends with status {STATUS}. {told[0]}")
        os.write(2, line.encode(errors="replace") + b"\n")
        os._exit(STATUS)

    def _last_words(self, facts: Any, problem: str, told: list[str]) -> None:
        try:
            told.append(asyncio.run(_awaited(self._blocked(facts, problem))))
        except BaseException as exc:  # the process ends all the same
            told.append(f"The backend could not note it: {type(exc).__name__}: {exc}")


async def _awaited(work: Awaitable[str]) -> str:
    return await work
