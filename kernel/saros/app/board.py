"""The state that a worker shares with the process that watches it (see `saros.app.watching`)."""

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
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..model.text import cut, one_line
from . import watching
from .watching import HEAD, LOOP_SLOTS, SIZE, SLOT, SLOTS

log = logging.getLogger("saros")


class Elsewhere(NamedTuple):
    """How another process opens the same backend, to record that this process is blocked.

    :ivar note: returns what `Backend.noted` needs to know about the execution of some `Facts`. Thread-safe.
    :ivar lost: the sentence to print if there is nothing to note.
    """

    url: str
    options: Mapping[str, Any]
    app: str
    env: Mapping[str, str] | None
    root: str
    note: Callable[[Any], bytes]
    lost: str


class Board:
    """Memory shared with the watching process, which runs until `close`.

    :raises OSError: when that process cannot be started.
    """

    def __init__(self, silence_s: float, elsewhere: Elsewhere) -> None:
        self._note = elsewhere.note
        self._beats = 0
        self._signal = 0  # see `_traced`
        self._free = list(range(LOOP_SLOTS, SLOTS))
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
            **{"silence": silence_s, "url": elsewhere.url, "options": dict(elsewhere.options)},
            **{"app": elsewhere.app, "env": elsewhere.env and dict(elsewhere.env), "root": elsewhere.root},
            **{"lost": elsewhere.lost, "path": [each for each in sys.path if each], "signal": self._traced()},
        }
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has failed, and printed why
            self._process.stdin.write(json.dumps(given, default=str).encode() + b"\n")
            self._process.stdin.flush()

    def _traced(self) -> int:
        """A signal on which this process writes where its threads are, without Python's lock; 0 for none."""
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

    def show(self, slot: int, facts: Any) -> None:
        """Record what this thread runs from now on."""
        note = self._note(facts).decode()
        name = one_line(cut(facts.name))
        shown = [name, threading.get_native_id(), threading.get_ident(), note]
        data = msgspec.json.encode(dict(zip(("name", "thread", "ident", "note"), shown, strict=True)))
        if len(data) > SLOT - 4:  # a long id: keep only the name; the lease then expires
            data = msgspec.json.encode({"name": name, "thread": shown[1], "ident": shown[2], "note": ""})
        at = HEAD + slot * SLOT
        self._memory[at + 4 : at + 4 + len(data)] = data
        self._memory[at : at + 4] = len(data).to_bytes(4, "little")

    def clear(self, slot: int) -> None:
        at = HEAD + slot * SLOT
        self._memory[at : at + 4] = b"\0\0\0\0"

    def take(self) -> int | None:
        """Take a slot for a thread; None if all are in use."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, slot: int) -> None:
        self.clear(slot)
        self._free.append(slot)

    def close(self) -> None:
        """End the watching process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        if self._signal:
            faulthandler.unregister(self._signal)
        self._trace.close()
