"""Runtimes: what runs the code of entries, and what surrounds one attempt of a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from ..entries import Entry
from ..model.raw import Raw
from ..model.values import Json
from .program import Facts, Program


class CallScope:
    """:param pid: of the function that runs.
    :param info: what ``activity.info()`` tells; empty when it runs for no workflow.
    :param heartbeat: called with the details' JSON; None where there is nobody to hear it.
    """

    def __init__(
        self,
        pid: str,
        info: dict[str, Any],
        context: dict[str, Any],
        heartbeat: Callable[[Json], None] | None = None,
    ) -> None:
        self.pid = pid
        self.info = info
        self.context = context
        self.heartbeat = heartbeat
        self.canceled = False
        self.blocking = False  # code runs that no cancellation reaches: it has to ask `canceled`
        self.on_queue: Callable[[bool], None] = _unasked
        self._on_cancel: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Tell the attempt that it is cancelled; what it does then is its own affair."""
        if self.canceled:
            return
        self.canceled = True
        for call in self._on_cancel:
            call()

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Within: the code waits until it can begin; time limits of an attempt count from then on."""
        self.on_queue(True)
        try:
            yield
        finally:
            self.on_queue(False)

    def settle(self) -> None:
        """Forget who listens, for the attempt has its outcome: code that runs on is heard no more."""
        self._on_cancel.clear()
        self.on_queue = _unasked
        if self.heartbeat is not None:
            self.heartbeat = _unheard

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Call once when the attempt is cancelled, at once if it is already."""
        if self.canceled:
            call()
        else:
            self._on_cancel.append(call)


def _unasked(waits: bool) -> None:
    pass


def _unheard(details: Json) -> None:
    pass


current: ContextVar[CallScope | None] = ContextVar("saros_call_scope", default=None)


class Runtime(Protocol):
    """Turns entries of some kinds into programs; supplied by a plugin."""

    def check(self, entry: Any) -> None:
        """Raise `CodeError` when the entry's code cannot run (syntax, missing method)."""
        ...

    def findings(self, entry: Any, *, complete: bool) -> list[Any]:
        """What is wrong with an entry's code where it runs, for certain: `saros.entries.Problem`s.

        :param complete: whether the app has no entries but those that are known.
        """
        ...

    def refresh(self) -> None:
        """Read sources anew when they are next needed: somebody may have repaired them."""
        ...

    def program(self, entry: Any, *, workflow: bool, facts: Facts, trace: bool = False) -> Program:
        """Return a fresh program that waits for its START event; with `trace` its `where` knows every line.

        :raises CodeError: when the code cannot be loaded.
        """
        ...


class Functions(Protocol):
    """Runs the functions of a runtime whose code does real I/O, such as Python."""

    def check(self, entry: Entry) -> None:
        """Raise `CodeError` when the entry's code cannot run."""
        ...

    def call(self, entry: Entry, args: Raw, scope: CallScope) -> Awaitable[Json]:
        """Run one attempt and return the result's JSON; raises `saros.Error`, or whatever the code raises."""
        ...
