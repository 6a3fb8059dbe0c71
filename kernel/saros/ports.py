"""The four ports: what a driver needs of the world around one execution.

Each driver (the durable engine, the process host, the Temporal driver) supplies an object per port;
`dispatch` carries one command of a program to the method that it stands for. Whatever a method starts
settles later as a ``done`` event with the same `ref`, unless its docstring says otherwise.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from .errors import ErrorData
from .program import (
    ANSWER,
    ASK,
    ATTRS,
    CALL,
    COMPLETE,
    CONTINUE,
    FAIL,
    RESCIND,
    SEND,
    SIDE_EFFECT,
    SPAWN,
    TELL,
    TIMER,
    VERSION,
    Answer,
    Ask,
    Attributes,
    Call,
    Command,
    ContinueAsNew,
    Rescind,
    Send,
    Spawn,
    StartTimer,
    VersionMark,
    unpack,
)
from .values import Json, named


class Activities(Protocol):
    """Calls of functions."""

    def schedule(self, ref: int, call: Call) -> None: ...

    def cancel(self, ref: int) -> bool:
        """Cancel a call; False when `ref` is none of this port's."""
        ...


class Timers(Protocol):
    def start(self, ref: int, ns: int) -> None: ...

    def cancel(self, ref: int) -> bool:
        """Stop a timer, which then never fires; False when `ref` is none of this port's."""
        ...


class Signals(Protocol):
    """Messages to, and life of, other executions and processes."""

    def spawn(self, ref: int, spawn: Spawn) -> None: ...

    def send(self, ref: int, send: Send) -> None: ...

    def tell(self, ref: int, send: Send) -> None:
        """Send to a process or function. Nobody waits for it; when the receiver has ended, that is logged."""
        ...

    def ask(self, ref: int, ask: Ask) -> None: ...

    def cancel(self, ref: int, reason: str) -> bool:
        """Cancel an awaited child (`Spawn.exec`); False when `ref` is none of this port's."""
        ...


class History(Protocol):
    """What the execution says about itself; nothing here settles."""

    def attributes(self, upserts: Attributes) -> None: ...

    def version(self, mark: VersionMark) -> None: ...

    def side_effect(self, ref: int, value: Json) -> None: ...

    def answer(self, answer: Answer) -> None: ...

    def continue_as_new(self, request: ContinueAsNew) -> None: ...

    def complete(self, result: Json) -> None: ...

    def fail(self, error: ErrorData) -> None: ...


class Ports(NamedTuple):
    history: History
    timers: Timers
    signals: Signals
    activities: Activities


def dispatch(command: Command, ports: Ports) -> None:
    """Carry one command to its port."""
    op, ref, body = command.op, command.ref, command.body
    if op == CALL:
        ports.activities.schedule(ref, unpack(body, Call))
    elif op == TIMER:
        ports.timers.start(ref, unpack(body, StartTimer).ns)
    elif op == COMPLETE:
        ports.history.complete(body)
    elif op == SEND:
        ports.signals.send(ref, unpack(body, Send))
    elif op == TELL:
        ports.signals.tell(ref, unpack(body, Send))
    elif op == SPAWN:
        ports.signals.spawn(ref, unpack(body, Spawn))
    elif op == RESCIND:
        target = unpack(body, Rescind)
        if not (ports.timers.cancel(target.ref) or ports.activities.cancel(target.ref)):
            ports.signals.cancel(target.ref, target.reason)
    elif op == ASK:
        ports.signals.ask(ref, unpack(body, Ask))
    else:
        _dispatch_history(op, ref, body, ports.history)


def _dispatch_history(op: str, ref: int, body: Json | msgspec.Raw, history: History) -> None:
    if op == FAIL:
        history.fail(unpack(body, ErrorData))
    elif op == ATTRS:
        found = unpack(body, Attributes)
        history.attributes(Attributes(named(found.search), named(found.memo)))
    elif op == VERSION:
        history.version(unpack(body, VersionMark))
    elif op == SIDE_EFFECT:
        history.side_effect(ref, bytes(body))
    elif op == ANSWER:
        history.answer(unpack(body, Answer))
    elif op == CONTINUE:
        history.continue_as_new(unpack(body, ContinueAsNew))
    else:
        raise ValueError(f"a program gave the unknown command {op!r}")
