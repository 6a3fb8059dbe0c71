"""Runtimes, which run the code of entries, and the scope of one attempt of a function."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from ..entries import Entry
from ..model.raw import Raw
from ..model.values import Json
from .program import Facts, Program


class ScopeSpan(Protocol):
    """What an observer records of the attempt that a scope is for."""

    @property
    def carrier(self) -> str:
        """The carrier for what the attempt causes; see `saros.interfaces.observer.Span`."""
        ...

    def enter(self) -> None:
        """Make it known to the present context, in which the code of the attempt is about to run."""
        ...


class CallScope:
    """:param pid: of the running function.
    :param info: what ``activity.info()`` returns; empty when the function does not run for a workflow.
    :param heartbeat: called with the details' JSON; None if nobody receives heartbeats.
    :param caller: the scope of the function that made this call and waits for it.
    """

    def __init__(
        self,
        pid: str,
        info: dict[str, Any],
        context: dict[str, Any],
        heartbeat: Callable[[Json], None] | None = None,
        caller: CallScope | None = None,
    ) -> None:
        self.pid = pid
        self.info = info
        self.context = context
        self.heartbeat = heartbeat
        self.caller = caller
        self.entry = ""  # the running entry, if it is not a program
        self.trace = ""  # the carrier for what it causes, if it is not that of `span`
        self.span: ScopeSpan | None = None  # while somebody observes
        self.canceled = False
        self.canceled_at = 0.0  # by `time.monotonic`
        self.blocking = False  # cancellation cannot interrupt the running code, which must check `canceled`
        self.on_queue: Callable[[bool], None] = _unasked
        self._on_cancel: list[Callable[[], None]] = []
        self._follows: Callable[[], None] | None = None

    def enter(self) -> None:
        """Make this the scope of the present context, in which the code of a function is about to run.

        The span of the function for which it runs holds here, too.
        """
        current.set(self)
        scope = self
        while scope.span is None and scope.caller is not None:
            scope = scope.caller
        if scope.span is not None:
            scope.span.enter()

    def cancel(self) -> None:
        """Tell the attempt that it is cancelled. The code decides how it ends."""
        if self.canceled:
            return
        self._told_to_end()
        for call in list(self._on_cancel):
            call()

    @property
    def name(self) -> str:
        """The name of the function and the execution, for messages."""
        workflow = self.lease_info.get("workflow_id")
        return f"{self.entry} {self.pid}" + (f" of the workflow {workflow}" if workflow else "")

    @property
    def lease_info(self) -> dict[str, Any]:
        """The info of the activity attempt on whose behalf this runs, directly or through other functions."""
        scope = self
        while not scope.info and scope.caller is not None:
            scope = scope.caller
        return scope.info

    @property
    def carrier(self) -> str:
        """Its trace, or that of the function for which it runs."""
        scope: CallScope | None = self
        while scope is not None:
            if scope.span is not None:
                return scope.span.carrier
            if scope.trace:
                return scope.trace
            scope = scope.caller
        return ""

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Mark the time in which the code waits to begin; an attempt's time limits count from the end of it."""
        self.on_queue(True)
        try:
            yield
        finally:
            self.on_queue(False)

    def settle(self) -> None:
        """Disconnect the scope once the attempt has its outcome: code that is still running has no effect.

        Code in a thread that still checks sees that it is cancelled.
        """
        self._told_to_end()
        self._on_cancel.clear()
        if self.caller is not None and self._follows is not None:
            self.caller.ignore(self._follows)
        self.on_queue = _unasked
        if self.heartbeat is not None:
            self.heartbeat = _unheard

    def _told_to_end(self) -> None:
        if not self.canceled:
            self.canceled, self.canceled_at = True, time.monotonic()

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Run `call` once when the attempt is cancelled, immediately if it already is."""
        if self.canceled:
            call()
        else:
            self._on_cancel.append(call)

    def ignore(self, call: Callable[[], None]) -> None:
        """Remove a callback that was passed to `on_cancel`."""
        if call in self._on_cancel:
            self._on_cancel.remove(call)

    def follow(self, cancel: Callable[[], None]) -> None:
        """Cancel this call if its caller is cancelled from now on.

        A caller that is already cancelled can still make its last calls.
        """
        if self.caller is not None and not self.caller.canceled:
            self._follows = cancel
            self.caller.on_cancel(cancel)


def scope_of(facts: Any) -> CallScope | None:
    """The scope in which a program or function of a process host runs, if any."""
    scope = facts if isinstance(facts, CallScope) else getattr(facts, "scope", None)
    return scope if isinstance(scope, CallScope) else None


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
        """Definite mistakes in an entry's code, as `saros.entries.Problem`s.

        :param complete: True if the known entries are all entries of the app.
        """
        ...

    def refresh(self) -> None:
        """Read sources again when they are next needed, because they may have been repaired."""
        ...

    def program(self, entry: Any, *, workflow: bool, facts: Facts, trace: bool = False) -> Program:
        """Return a fresh program that waits for its START event; with `trace`, `where` returns every line.

        :raises CodeError: when the code cannot be loaded.
        """
        ...


class Functions(Protocol):
    """Runs the functions of a runtime whose code does real I/O, such as Python."""

    def check(self, entry: Entry) -> None:
        """Raise `CodeError` when the entry's code cannot run."""
        ...

    def call(self, entry: Entry, args: Raw, scope: CallScope) -> Awaitable[Json]:
        """Run one attempt and return the result's JSON; raise `saros.Error`, or whatever the code raises."""
        ...
