"""The order of work within an activation.

Events must reach the program, and commands the server, in the same order whenever a history is replayed, on
every version of Saros. That order is the one which an event loop gives: work waits for a number of turns, and
goes to the end of the queue each time. The numbers are those that recorded histories were made with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

NEXT: Final = 1
"""Timers, queries; the commands of children, signals and cancellations, after all that is given at once."""
STARTED: Final = 2
"""What tells that something began: a child, a signal, a cancellation of this workflow."""
ENDED: Final = 3
"""Results, of activities and of children."""


class Turns:
    """The queue of one workflow; empty between activations."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()

    def later(self, turns: int, work: Callable[..., None], *args: Any) -> None:
        """Do work(*args) when its turn comes."""
        self._queue.append((turns, work, args))

    def run(self) -> None:
        """Do all work, and what follows from it."""
        queue = self._queue
        while queue:
            turns, work, args = queue.popleft()
            if turns > 1 and queue:
                queue.append((turns - 1, work, args))
            else:  # nothing else could come before it
                work(*args)
