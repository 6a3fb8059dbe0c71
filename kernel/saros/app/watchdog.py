"""The last resort: ends the process when a program blocks it.

The sandbox ends code that runs for too long. Code that it cannot end (a loop in C, a bug in a library) blocks
every other execution of the process, and their leases are still renewed. A thread that needs no event loop
notices this, prints it, has the backend record it, and ends the process. Other workers then take over the rest.

Programs and functions in Python report to `watch` when an activation begins and ends. The thread can only run if
the blocking code has released Python's lock, as Lua does; `saros.app.watching` handles other code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..model.text import one_line
from .board import Board, Elsewhere
from .watching import LOOP_SLOTS, tick_s

if TYPE_CHECKING:
    from ..interfaces.program import Facts

log = logging.getLogger("saros")

STATUS: Final = 86
"""The exit status of a process that was ended."""
SILENCE_S: Final = 10.0
"""How long an activation may make no progress; the default of the option."""
LAST_WORDS_S: Final = 5.0
"""How long the backend may take to record it."""

Blocked = Callable[["Facts", str], Awaitable[str]]
"""Records, on its own event loop, that an execution has blocked its process; returns a sentence to print."""


class Watch:
    """The running activations of this process: mostly none or one, and nested ones that it causes."""

    def __init__(self) -> None:
        self.running: list[Any] = []  # the `Facts` of their programs
        self.moves = 0  # counts every sign of progress
        self.board: Board | None = None

    def begin(self, facts: Any) -> None:
        self.running.append(facts)
        self.moves += 1
        if self.board is not None and len(self.running) <= LOOP_SLOTS:
            self.board.show(len(self.running) - 1, facts)

    def end(self) -> None:
        self.running.pop()
        self.moves += 1
        if self.board is not None and len(self.running) < LOOP_SLOTS:
            self.board.clear(len(self.running))

    @contextlib.contextmanager
    def aside(self, facts: Any) -> Iterator[None]:
        """A context within which this thread, which is not the event loop's, runs code."""
        board = self.board
        slot = board.take() if board is not None else None
        if board is None or slot is None:
            yield
            return
        board.show(slot, facts)
        try:
            yield
        finally:
            board.give_back(slot)

    def alive(self) -> None:
        """Note that the current activation makes progress."""
        self.moves += 1


watch: Final = Watch()


class Watched:
    """A coroutine, each of whose steps on the event loop is an activation.

    :param facts: with the name for messages.
    """

    def __init__(self, work: Any, facts: Any) -> None:
        self._work, self._facts = work, facts

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        watch.begin(self._facts)
        try:
            return self._work.send(value)
        finally:
            watch.end()

    def throw(self, *raised: Any) -> Any:
        watch.begin(self._facts)
        try:
            return self._work.throw(*raised)
        finally:
            watch.end()

    def close(self) -> None:
        self._work.close()


class Watchdog:
    """:param silence_s: how many seconds an activation may make no progress.
    :param blocked: see `Blocked`.
    :param elsewhere: for the process that notices code that holds Python's lock; None if there is no such process.
    """

    def __init__(self, silence_s: float, blocked: Blocked, elsewhere: Elsewhere | None = None) -> None:
        self._silence_s = silence_s
        self._blocked = blocked
        self._elsewhere = elsewhere
        self._board: Board | None = None
        self._tick = tick_s(silence_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saros-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; has no effect if already started."""
        if self._thread.is_alive() or self._stop.is_set():
            return
        if self._elsewhere is not None and watch.board is None:
            try:
                watch.board = self._board = Board(self._silence_s, self._elsewhere)
            except OSError as error:
                log.warning(
                    "code that holds Python's lock goes unnoticed; no process can watch it: %s", error
                )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._board is not None:
            watch.board = None
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
            # After a pause of the whole process (a debugger, SIGSTOP) no activation is to blame for the time.
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
        told = told or ["the backend could not note it in time"]
        line = one_line(f"saros: {problem}; this process ends with status {STATUS}. {told[0]}")
        os.write(2, line.encode(errors="replace") + b"\n")
        os._exit(STATUS)

    def _last_words(self, facts: Any, problem: str, told: list[str]) -> None:
        try:
            told.append(asyncio.run(_awaited(self._blocked(facts, problem))))
        except BaseException as exc:  # the process ends anyway
            told.append(f"The backend could not note it: {type(exc).__name__}: {exc}")


async def _awaited(work: Awaitable[str]) -> str:
    return await work
