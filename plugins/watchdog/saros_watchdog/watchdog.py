"""Ends the process when a program blocks it, as a last resort.

The sandbox ends code that runs for too long. Code that it cannot end (a loop in C, a fault in a library) blocks
every other execution of the process too, while their leases are still renewed. A thread that needs no event loop
detects this, reports it, has the backend record it, and ends the process, so that other workers can take over.

Runtimes report to `saros.interfaces.activations.watch`. The thread can only run if the blocking code has released
Python's lock, as Lua does; `saros_watchdog.watching` covers other code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from saros.interfaces.activations import watch
from saros.model.text import one_line

from .board import Board
from .watching import tick_s

if TYPE_CHECKING:
    from saros.app.hookspecs import Guarded
    from saros.interfaces.program import Facts

log = logging.getLogger("saros")

STATUS: Final = 86
"""The exit status of a process that the watchdog has ended."""
LAST_WORDS_S: Final = 5.0
"""The time that the backend gets to record it."""

Blocked = Callable[["Facts", str], Awaitable[str]]
"""Records, on a separate event loop, that an execution has blocked its process; returns a sentence to print."""


class Watchdog:
    """Watches this process from `start` to `stop`."""

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded
        self._silence_s = guarded.silence_s
        self._blocked: Blocked = guarded.backend.blocked
        self._board: Board | None = None
        self._tick = tick_s(self._silence_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saros-watchdog", daemon=True)

    def start(self) -> None:
        """Start watching; only one app of a process uses a watching process."""
        if watch.observer is None:
            try:
                watch.observer = self._board = Board(self._guarded)
            except OSError as error:
                log.warning(
                    "code that keeps Python's lock cannot be detected: the watching process did not start: %s",
                    error,
                )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._board is not None:
            watch.observer = None
            self._board.close()
            self._board = None

    def _beat(self) -> None:
        board = self._board
        if board is not None:
            board.beat()

    def _run(self) -> None:
        silent, moves = 0.0, -1
        last = time.monotonic()
        while not self._stop.wait(self._tick):
            self._beat()
            now = time.monotonic()
            # A pause of the whole process (a debugger, SIGSTOP) does not count.
            passed, last = min(now - last, 2 * self._tick), now
            running = list(watch.running)
            silent = silent + passed if running and watch.moves == moves else 0.0
            moves = watch.moves
            if silent >= self._silence_s:
                self._end(running[-1], silent)

    def _end(self, facts: Any, silent: float) -> None:
        """Print what blocks the process, and end it."""
        name = one_line(facts.name)
        problem = f"{name} has blocked its worker for {silent:.1f} s"
        told: list[str] = []
        words = threading.Thread(target=self._last_words, args=(facts, problem, told), daemon=True)
        words.start()
        until = time.monotonic() + LAST_WORDS_S
        while words.is_alive() and time.monotonic() < until:
            words.join(self._tick)
            self._beat()
        told = told or ["The backend could not record it in time."]
        line = one_line(f"saros: {problem}; this process ends with status {STATUS}. {told[0]}")
        os.write(2, line.encode(errors="replace") + b"\n")
        os._exit(STATUS)

    def _last_words(self, facts: Any, problem: str, told: list[str]) -> None:
        try:
            told.append(asyncio.run(_awaited(self._blocked(facts, problem))))
        except BaseException as exc:  # the process ends in any case
            told.append(f"The backend could not record it: {type(exc).__name__}: {exc}")


@contextlib.contextmanager
def watching_over(guarded: Guarded) -> Iterator[None]:
    """Watch this process within the context."""
    dog = Watchdog(guarded)
    dog.start()
    try:
        yield
    finally:
        dog.stop()


async def _awaited(work: Awaitable[str]) -> str:
    return await work
