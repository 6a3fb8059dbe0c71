"""What is under way: clients' calls and servers' requests."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import trace as api

from .carriers import written


class Timed:
    """An operation in progress; see `saros.interfaces.observer.Span`.

    :param ended: called with its duration in seconds, its route and its error.
    """

    __slots__ = ("_began", "_ended", "_route", "_span", "trace")

    def __init__(self, span: api.Span | None, ended: Callable[[float, str, str], None]) -> None:
        self._span = span
        self._ended = ended
        self._began = time.perf_counter()
        self._route = ""
        self.trace = written(span.get_span_context()) if span is not None else ""

    def route(self, pattern: str) -> None:
        self._route = pattern

    def end(self, error: str = "") -> None:
        self._ended(time.perf_counter() - self._began, self._route, error)
