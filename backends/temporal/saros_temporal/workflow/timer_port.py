"""The port of timers: those pending at Temporal, by number.

Numbers are ids in the history. Activities, timers, children and signals each count from 1, in the order in which
their commands are given.
"""

from __future__ import annotations

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

    def add(self) -> WorkflowCommand: ...

    def settle(self, ref: int, outcome: Json) -> None: ...

    def news(self) -> None: ...


class TimerPort:
    """Durable timers of one workflow; see `saros.interfaces.timers.Timers`."""

    def __init__(self, state: TimerState) -> None:
        self._state = state
        self._seq = 0
        self._refs: dict[int, int] = {}  # ref of the command -> number
        self._waiting: dict[int, Callable[[], None]] = {}  # by number

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def refs(self) -> list[int]:
        """The commands whose timers run."""
        return list(self._refs)

    def start(self, ref: int, ns: int) -> None:
        self._refs[ref] = self.after(max(ns, MIN_TIMER_NS), partial(self._settle, ref))

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

    def _settle(self, ref: int) -> None:
        if self._refs.pop(ref, None) is not None:
            self._state.news()
            self._state.settle(ref, b"{}")

    def cancel(self, ref: int) -> None:
        seq = self._refs.pop(ref, None)
        if seq is not None:
            self.stop(seq)

    def stop(self, seq: int) -> None:
        """Cancel a timer, unless it has fired."""
        if self._waiting.pop(seq, None) is not None:
            self._state.add().cancel_timer.seq = seq
