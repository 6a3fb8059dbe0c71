"""What is under way: clients' calls and servers' requests."""

from __future__ import annotations

import time
from collections.abc import Callable

from .traces.spans import LiveSpan, Unsampled


class Timed:
    """An operation in progress; see `saros.interfaces.observer.Span`.

    :param ended: called with its duration in seconds, its route and its error.
    """

    __slots__ = ("_began", "_ended", "_route", "trace")

    def __init__(self, span: LiveSpan | Unsampled | None, ended: Callable[[float, str, str], None]) -> None:
        self._ended = ended
        self._began = time.perf_counter()
        self._route = ""
        self.trace = span.carrier if span is not None else ""

    def route(self, pattern: str) -> None:
        self._route = pattern

    def end(self, error: str = "") -> None:
        self._ended(time.perf_counter() - self._began, self._route, error)
