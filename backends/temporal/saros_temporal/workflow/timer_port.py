"""The port of timers: those pending at Temporal, by number.

Numbers are ids in the history. Activities, timers, children and signals each count from 1, in the order in which
their commands are given.

The server counts a timer's time from the moment at which it records the start, which a busy server does one after the
other: of two timers that start in one workflow task, the later may become due there first. A workflow is promised
the order of due times by its own clock, then the order of starts. So when a timer fires, those that should have
fired before it fire as well, and the server's copies of them are cancelled.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from temporalio.bridge.proto.workflow_activation import FireTimer
from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from saros.model.values import Json

from ..wire.commands import NS

MIN_TIMER_NS: Final = 1_000_000


class TimerState(Protocol):
    """The part of the workflow that timers use; see `WorkflowState`."""

    @property
    def now(self) -> int: ...

    def add(self) -> WorkflowCommand: ...

    def settle(self, ref: int, outcome: Json) -> None: ...

    def news(self) -> None: ...


class TimerPort:
    """Durable timers of one workflow; see `saros.interfaces.timers.Timers`."""

    def __init__(self, state: TimerState) -> None:
        self._state = state
        self._seq = 0
        self._due: dict[int, tuple[int, int, int]] = {}  # ref of the command -> due time, number, ref
        self._order: list[tuple[int, int, int]] = []  # the same, sorted
        self._waiting: dict[int, Callable[[], None]] = {}  # by number

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def refs(self) -> list[int]:
        """The commands whose timers run."""
        return list(self._due)

    def start(self, ref: int, ns: int) -> None:
        seq = self.after(max(ns, MIN_TIMER_NS), partial(self._fire, ref))
        self._due[ref] = due = (self._state.now + ns, seq, ref)
        insort(self._order, due)

    def after(self, ns: int, work: Callable[[], None]) -> int:
        """Start a timer of the backend's own, and return its number."""
        self._seq += 1
        timer = self._state.add().start_timer
        timer.seq = self._seq
        timer.start_to_fire_timeout.seconds, timer.start_to_fire_timeout.nanos = divmod(ns, NS)
        self._waiting[self._seq] = work
        return self._seq

    def fired(self, job: FireTimer) -> Callable[[], None] | None:
        """Note that a timer has fired. Return its continuation; None if it was just stopped."""
        return self._waiting.pop(job.seq, None)

    def _fire(self, ref: int) -> None:
        """Settle the timers that are due before one that has fired, then this one.

        The program runs in between: it may cancel any of them.
        """
        last = self._due.get(ref)
        while last is not None and self._order and self._order[0] <= last:
            first = self._order[0][2]
            self.cancel(first)
            self._state.news()
            self._state.settle(first, b"{}")

    def cancel(self, ref: int) -> None:
        due = self._due.pop(ref, None)
        if due is not None:
            del self._order[bisect_left(self._order, due)]
            self.stop(due[1])

    def stop(self, seq: int) -> None:
        """Cancel a timer, unless it has fired."""
        if self._waiting.pop(seq, None) is not None:
            self._state.add().cancel_timer.seq = seq
