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
    :param caller: of the function that made this call and waits for it.
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
        self.entry = ""  # what runs, where that is no program
        self.trace = ""  # the carrier for what it causes, while somebody observes
        self.canceled = False
        self.blocking = False  # code runs that no cancellation reaches: it has to ask `canceled`
        self.on_queue: Callable[[bool], None] = _unasked
        self._on_cancel: list[Callable[[], None]] = []
        self._follows: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Tell the attempt that it is cancelled; what it does then is its own affair."""
        if self.canceled:
            return
        self.canceled = True
        for call in list(self._on_cancel):
            call()

    @property
    def name(self) -> str:
        """Of the function and the execution, for messages."""
        workflow = self.lease_info.get("workflow_id")
        return f"{self.entry} {self.pid}" + (f" of the workflow {workflow}" if workflow else "")

    @property
    def lease_info(self) -> dict[str, Any]:
        """The info of the activity's attempt for which this runs, perhaps through other functions."""
        scope = self
        while not scope.info and scope.caller is not None:
            scope = scope.caller
        return scope.info

    @property
    def carrier(self) -> str:
        """Its trace, or that of the function for which it runs."""
        scope = self
        while not scope.trace and scope.caller is not None:
            scope = scope.caller
        return scope.trace

    @contextmanager
    def queued(self) -> Iterator[None]:
        """Within: the code waits until it can begin; time limits of an attempt count from then on."""
        self.on_queue(True)
        try:
            yield
        finally:
            self.on_queue(False)

    def settle(self) -> None:
        """Forget who listens, for the attempt has its outcome: code that runs on is heard no more.

        Code in a thread that still asks hears that it is cancelled.
        """
        self.canceled = True
        self._on_cancel.clear()
        if self.caller is not None and self._follows is not None:
            self.caller.ignore(self._follows)
        self.on_queue = _unasked
        if self.heartbeat is not None:
            self.heartbeat = _unheard

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Call once when the attempt is cancelled, at once if it is already."""
        if self.canceled:
            call()
        else:
            self._on_cancel.append(call)

    def ignore(self, call: Callable[[], None]) -> None:
        """Take back what was given to `on_cancel`."""
        if call in self._on_cancel:
            self._on_cancel.remove(call)

    def follow(self, cancel: Callable[[], None]) -> None:
        """Cancel this call when its caller is cancelled from now on.

        A caller that has been cancelled already makes its last calls in peace.
        """
        if self.caller is not None and not self.caller.canceled:
            self._follows = cancel
            self.caller.on_cancel(cancel)


def scope_of(facts: Any) -> CallScope | None:
    """The scope in which something of a process host's runs."""
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
