"""Memory in which a worker shows its state to the process that watches it (see `saros_watchdog.watching`)."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from saros.model.text import cut, one_line

from . import watching
from .watching import HEAD, LOOP_SLOTS, SIZE, SLOT, SLOTS

if TYPE_CHECKING:
    from saros.app.hookspecs import Guarded

log = logging.getLogger("saros")

SHORT: Final = 100
"""Nothing need be cut from a name with so many characters."""


class _Thread(threading.local):
    """The present thread."""

    def __init__(self) -> None:
        self.numbers = b"%d %d" % (threading.get_native_id(), threading.get_ident())


class Board:
    """Memory shared with the watching process, which runs until `close`. It is an `ActivationObserver`.

    :raises OSError: when that process cannot be started.
    """

    def __init__(self, guarded: Guarded) -> None:
        backend = guarded.backend
        self._note = backend.note
        self._beats = 0
        self._signal = 0  # see `_traced`
        self._free = list(range(LOOP_SLOTS, SLOTS))
        self._thread = _Thread()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115 -- as long as the process
        with tempfile.TemporaryFile() as file:
            file.truncate(SIZE)
            self._memory = mmap.mmap(file.fileno(), SIZE)
            fds = file.fileno(), self._trace.fileno()
            argv = [sys.executable, "-I", "-S", watching.__file__, str(os.getpid()), *map(str, fds)]
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=fds
            )
        given = {
            "silence": guarded.silence_s,
            "url": guarded.url,
            "options": dict(guarded.options),
            "app": guarded.path,
            "env": guarded.env and dict(guarded.env),
            "root": guarded.root,
            "lost": backend.lost,
            "path": [each for each in sys.path if each],
            "signal": self._traced(),
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has failed and printed why
            self._process.stdin.write(json.dumps(given, default=str).encode() + b"\n")
            self._process.stdin.flush()

    def _traced(self) -> int:
        """Return a signal that makes this process write its threads' stacks without Python's lock; 0 for none."""
        number = getattr(signal, "SIGRTMAX", 0)
        if not number or signal.getsignal(number) is not signal.SIG_DFL:
            return 0
        faulthandler.register(number, self._trace, all_threads=True)
        self._signal = int(number)
        return self._signal

    def beat(self) -> None:
        """Record that a Python thread can run."""
        self._beats += 1
        self._memory[:8] = self._beats.to_bytes(8, "little")

    def begun(self, depth: int, facts: Any) -> None:
        if depth < LOOP_SLOTS:
            self.show(depth, facts)

    def ended(self, depth: int) -> None:
        if depth < LOOP_SLOTS:
            self.clear(depth)

    @contextlib.contextmanager
    def aside(self, facts: Any) -> Iterator[None]:
        if not self._free:
            yield
            return
        slot = self._free.pop()
        self.show(slot, facts)
        try:
            yield
        finally:
            self.clear(slot)
            self._free.append(slot)

    def show(self, slot: int, facts: Any) -> None:
        """Write into a slot what this thread now runs, as an `Activation`."""
        name = facts.name
        if len(name) > SHORT or not name.isprintable():
            name = one_line(cut(name))
        data = b"%b\n%b\n%b\0" % (self._thread.numbers, name.encode(), self._note(facts))
        if len(data) >= SLOT:  # a long id: show only the name, and let the lease expire
            data = b"%b\n%b\n\0" % (self._thread.numbers, name.encode())
        at = HEAD + slot * SLOT
        self._memory[at + 1 : at + 1 + len(data)] = data
        self._memory[at] = 1  # only now, so that nobody reads half of it

    def clear(self, slot: int) -> None:
        self._memory[HEAD + slot * SLOT] = 0

    def close(self) -> None:
        """End the watching process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        if self._signal:
            faulthandler.unregister(self._signal)
        self._trace.close()
