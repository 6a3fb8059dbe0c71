"""Timers: events that happen later, unless they are cleared."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from .signals import Mail


class Timers(Protocol):
    def start(self, ref: int, ns: int) -> None: ...

    def cancel(self, ref: int) -> None:
        """Stop a timer, so it never fires. A timer that has fired is not affected."""
        ...


class Deadline(NamedTuple):
    """Something that happens `delay` nanoseconds after the commit, unless a later commit clears it.

    A negative delay has already passed. Deadlines happen in the order of their times, and those with equal times
    in the order in which they were set.

    `guard` says when it applies: ``timer`` (always), ``start`` (only while no worker has taken activity
    `ref`), ``close`` (only while activity `ref` is open), ``run`` (ends the whole run with `mail.body`,
    an `Outcome`). A fired ``start`` or ``close`` closes its activity.
    """

    ref: int
    delay: int
    mail: Mail
    guard: str = "timer"


TIMER: Final = "timer"
TO_START: Final = "start"
TO_CLOSE: Final = "close"
TO_RUN: Final = "run"


class TimerStore(Protocol):
    """The store's part."""

    async def run(self) -> None:
        """Fire deadlines and reclaim lost leases, on behalf of all workers. Runs until cancelled."""
        ...
