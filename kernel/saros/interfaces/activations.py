"""The activations of this process, which show a guard the entry code that runs now.

A runtime reports to `watch` when an activation begins and ends.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol


class ActivationObserver(Protocol):
    """Is notified of each activation as it happens; `facts` hold the name for messages."""

    def begun(self, depth: int, facts: Any) -> None:
        """Called when an activation has begun on the event loop, within `depth` others."""
        ...

    def ended(self, depth: int) -> None:
        """Called when it has ended."""
        ...

    def aside(self, facts: Any) -> AbstractContextManager[None]:
        """Return a context for an activation in a thread other than the event loop's."""
        ...


Meter = Callable[[str, int, int], None]
"""Hears what an activation has used: the entry, its instructions, and by how many bytes its program has grown."""


class Watch:
    """The activations that run in this process: usually none or one, which may cause nested ones."""

    def __init__(self) -> None:
        self.running: list[Any] = []  # the `Facts` of their programs
        self.moves = 0  # how often anything happened
        self.observer: ActivationObserver | None = None
        self.meters: list[Meter] = []
        self.threads: dict[int, Any] = {}  # what other threads run: number -> facts
        self._numbers = itertools.count()

    def begin(self, facts: Any) -> None:
        self.running.append(facts)
        self.moves += 1
        if self.observer is not None:
            self.observer.begun(len(self.running) - 1, facts)

    def end(self) -> None:
        self.running.pop()
        self.moves += 1
        if self.observer is not None:
            self.observer.ended(len(self.running))

    @contextlib.contextmanager
    def aside(self, facts: Any) -> Iterator[None]:
        """Mark the context as an activation in a thread other than the event loop's."""
        number = next(self._numbers)
        self.threads[number] = facts
        try:
            with contextlib.nullcontext() if self.observer is None else self.observer.aside(facts):
                yield
        finally:
            del self.threads[number]

    def alive(self) -> None:
        """Note that the current activation has made progress."""
        self.moves += 1


watch: Final = Watch()


class Watched:
    """A coroutine whose every step on the event loop is an activation.

    :param facts: hold the name for messages.
    """

    __slots__ = ("_facts", "_send", "_work")

    def __init__(self, work: Any, facts: Any) -> None:
        self._work, self._facts = work, facts
        self._send = work.send

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> Any:
        watch.begin(self._facts)
        try:
            return self._send(None)
        finally:
            watch.end()

    def send(self, value: Any) -> Any:
        watch.begin(self._facts)
        try:
            return self._send(value)
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
