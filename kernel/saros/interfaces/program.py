"""Programs, and the four ports that connect one execution with the world around it.

Each driver (the durable engine, the process host, the Temporal driver) supplies one object per port.
`dispatch` passes a command of a program to the matching method. Whatever a method starts settles later
as a ``done`` event with the same `ref`, unless its docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..model.errors import ErrorData
from ..model.records import (
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
    Body,
    Call,
    Command,
    ContinueAsNew,
    Event,
    Rescind,
    Send,
    Spawn,
    StartTimer,
    VersionMark,
    unpack,
)
from ..model.values import Json, named
from .activities import Activities
from .history import History
from .signals import Signals
from .timers import Timers


class Ports(msgspec.Struct, frozen=True):
    history: History
    timers: Timers
    signals: Signals
    activities: Activities


def dispatch(command: Command, ports: Ports) -> None:
    """Pass a command to its port."""
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
        _cancel(unpack(body, Rescind), ports)
    elif op == ASK:
        ports.signals.ask(ref, unpack(body, Ask))
    else:
        _dispatch_history(op, ref, body, ports.history)


def _cancel(rescind: Rescind, ports: Ports) -> None:
    """Cancel a command at the port that carries it out."""
    if rescind.of == TIMER:
        ports.timers.cancel(rescind.ref)
    elif rescind.of == CALL:
        ports.activities.cancel(rescind.ref)
    else:
        ports.signals.cancel(rescind.ref, rescind.reason)


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
        raise ValueError(f"a program issued the unknown command {op!r}")


class Facts(Protocol):
    """What a program may ask its driver in the middle of a run. The answer comes at once, without a yield.

    A durable driver's answers are functions of the history, so a replay gets the same answers.
    """

    replaying: bool

    @property
    def name(self) -> str:
        """The name of the entry and the execution, for messages."""
        ...

    def history(self) -> tuple[int, int]:
        """Number of events and bytes of the history before the present batch of events."""
        ...

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        """The version of a change for this execution, and whether a VERSION command records it.

        :raises Error: when a recorded version lies outside [lowest, highest]; the task then fails.
        """
        ...

    settles_side_effects: bool
    """True if a DONE event delivers the recorded value of a SIDE_EFFECT command, instead of `recorded`."""

    def recorded(self, ref: int) -> Json | None:
        """The recorded value of the SIDE_EFFECT command `ref`, or None when it is new."""
        ...

    def log(self, level: str, message: str, fields: Json) -> None:
        """Write a log record; a replaying driver drops it."""
        ...

    def heartbeat(self, details: Json) -> None:
        """Record that this attempt of an activity is alive.

        :raises Error: INVALID when this is not an activity.
        """
        ...

    def is_canceled(self) -> bool:
        """True if this attempt of an activity has been cancelled."""
        ...

    def secret(self) -> str:
        """256 random bits of this run, in hexadecimal, for a program whose START event has none."""
        ...

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        """Return the search attributes (of a JSON object) that can be stored, and why the others cannot."""
        ...


class Inspection(Body, frozen=True, omit_defaults=True):
    """The queries, updates and topics of a program, and where its coroutines wait."""

    queries: tuple[str, ...] = ()  # names
    updates: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()  # topics that it listens to, besides its inbox
    stacks: tuple[str, ...] = ()  # for each blocked coroutine, the user's lines, innermost first
    waits: tuple[int, ...] = ()  # for each, the ref of the command that it awaits, or 0


class Program(Protocol):
    """One execution of an entry's code."""

    def advance(self, events: Sequence[Event]) -> list[Sequence[Command]]:
        """Deliver events one at a time, each until every coroutine is blocked.

        :return: for each event the commands that it caused, in order. After a closing command
            (COMPLETE, FAIL, CONTINUE) the remaining events are not delivered and have no entry.
        :raises Error: when the task, not the program, has failed (budget, memory, code, versions).
            The program cannot be used any more, and the driver calls `close`.
        """
        ...

    def where(self, ref: int) -> str | None:
        """file:line of the user's code that issued the command `ref`, when known."""
        ...

    def inspect(self) -> Inspection:
        """Return what the program offers and where it waits. Runs no user code."""
        ...

    def close(self) -> None:
        """Free the program. Runs no user code."""
        ...
