"""The sans-I/O core: a `Program` is one running ``main``; these records are its whole input and output.

    advance(events) -> commands

It owns no clock, no task and no thread. Its driver (the durable engine, the process host, a
Temporal workflow) brings events in and carries commands out. Nothing else differs between drivers.

Every event and every command is the same small record: what (`op`), which (`ref`) and the details (`body`, JSON).
A command's `ref` counts 1, 2, 3... within its program; a ``done`` event carries the `ref` of the command that it
settles. The bodies' shapes are the structs below; user values inside them stay raw JSON, which nobody looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from .clock import backoff
from .errors import ErrorData
from .raw import ABSENT, Raw
from .values import Json


# gc=False: histories keep many records for a long time, and records cannot be part of reference cycles.
class Record(msgspec.Struct, frozen=True, gc=False):
    """One line of a history: an event that came in, or a command that went out."""

    op: str
    ref: int  # of a command: its own; of an event: the ref of the command that it settles, or 0
    body: Json
    time: int = 0  # nanoseconds since 1970; a command has the time of the event that caused it

    @property
    def size(self) -> int:
        """The bytes that this record adds to a history's size: its body, plus 32 for the rest."""
        return len(self.body) + 32


Event = Record
"""Something that happened: the program's input. Its `time` is the program's clock from then on."""

Command = Record
"""Something that the program wants: its output."""


# --- events -------------------------------------------------------------------------------------

START: Final = "start"  # Start: the first event of every program
DONE: Final = "done"  # Outcome: the command `ref` succeeded or failed
MESSAGE: Final = "message"  # Message
EXIT: Final = "exit"  # Exit: a monitored or linked peer ended
LINK_DOWN: Final = "link_down"  # Exit: a linked peer ended abnormally
CANCEL: Final = "cancel"  # CancelRequest
OUTDATED: Final = "outdated"  # the app was reloaded; only for processes
QUERY: Final = "query"  # HandlerCall: answered by ANSWER, never recorded
UPDATE: Final = "update"  # HandlerCall: answered by ANSWER, recorded

EVENT_OPS: Final = frozenset({START, DONE, MESSAGE, EXIT, LINK_DOWN, CANCEL, UPDATE})
"""What a history records of the outside world; all other records are commands."""

# --- commands -----------------------------------------------------------------------------------

CALL: Final = "call"  # Call -> DONE
TIMER: Final = "timer"  # StartTimer -> DONE
RESCIND: Final = "rescind"  # Rescind: cancel the command `body.ref`, whose op is `body.of`
SPAWN: Final = "spawn"  # Spawn -> DONE with the pid; with `exec`, with the result
SEND: Final = "send"  # Send -> DONE
TELL: Final = "tell"  # Send: to a process or function; it is accepted at once, and nothing settles it
ASK: Final = "ask"  # Ask -> DONE
ATTRS: Final = "attrs"  # Attributes
VERSION: Final = "version"  # VersionMark
SIDE_EFFECT: Final = "side_effect"  # a value
ANSWER: Final = "answer"  # Answer
CONTINUE: Final = "continue"  # ContinueAsNew; ends the program
COMPLETE: Final = "complete"  # a value; ends the program
FAIL: Final = "fail"  # ErrorData; ends the program

CLOSING_OPS: Final = frozenset({CONTINUE, COMPLETE, FAIL})

EMPTY: Final = Raw(b"{}")
NO_ARGS: Final = Raw(b"[]")


class Body(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of the shapes of `Event.body` and `Command.body`."""


class Start(Body, frozen=True, omit_defaults=True):
    args: Raw = NO_ARGS  # array of values
    context: Raw = EMPTY  # object: `ctx` values
    info: Raw = EMPTY  # object: the result of workflow.info() / activity.info()
    pid: str = ""
    entry: str = ""
    seed: str = ""  # of random numbers that need not be secret
    secret: str = ""  # of all random numbers: 256 random bits in hexadecimal; else see `Facts.secret`


class Outcome(Body, frozen=True, omit_defaults=True):
    """Success with `ok` (absent means nil), or failure with `err`."""

    ok: Raw = ABSENT
    err: ErrorData | None = None


class Message(Body, frozen=True, omit_defaults=True):
    topic: str
    sender: str = ""
    payloads: Raw = NO_ARGS  # array of values
    key: str = ""  # only on the way to an actor, which takes a message that is delivered again once
    trace: str = ""  # the sender's carrier, while somebody observes: a W3C traceparent, or its run


class Exit(Body, frozen=True, omit_defaults=True):
    sender: str  # the pid that ended
    ok: Raw = ABSENT
    err: ErrorData | None = None


class CancelRequest(Body, frozen=True, omit_defaults=True):
    sender: str = ""
    reason: str = ""


class HandlerCall(Body, frozen=True, omit_defaults=True):
    """A query or an update."""

    id: str
    name: str
    args: Raw = NO_ARGS
    trace: str = ""  # as that of a message


class RetryPolicy(Body, frozen=True, omit_defaults=True):
    """How failed attempts are retried. Intervals are in milliseconds; 0 attempts means no limit.

    An initial interval of 0 means the default of 1 s; a maximum interval below the initial one is raised to it.
    """

    initial_interval: int = 1_000
    backoff_coefficient: float = 2.0
    maximum_interval: int = 100_000
    maximum_attempts: int = 0
    non_retryable_error_types: tuple[str, ...] = ()

    def delay_ms(self, attempt: int) -> int:
        """The wait after the given attempt (1 is the first)."""
        initial = self.initial_interval or 1_000
        return backoff(initial, self.backoff_coefficient, max(initial, self.maximum_interval), attempt)


class CallOptions(Body, frozen=True, omit_defaults=True):
    """`activity.*` options of a call; durations in milliseconds, 0 means none."""

    start_to_close_timeout: int = 600_000
    schedule_to_close_timeout: int = 0
    schedule_to_start_timeout: int = 0
    heartbeat_timeout: int = 0
    id: str = ""
    task_queue: str = ""
    wait_for_cancellation: bool = False
    local: bool | None = None  # None: as the entry's meta says
    disable_eager_execution: bool = False  # a hint, for backends with such a shortcut
    retry_policy: RetryPolicy = RetryPolicy()


class Call(Body, frozen=True, omit_defaults=True):
    target: str
    args: Raw = NO_ARGS
    context: Raw = EMPTY
    options: CallOptions = CallOptions()


class StartTimer(Body, frozen=True, omit_defaults=True):
    ns: int


class Rescind(Body, frozen=True, omit_defaults=True):
    ref: int  # of the command to cancel, whose op is `of`
    of: str
    reason: str = ""


class StartOptions(Body, frozen=True, omit_defaults=True):
    """`workflow.*` options of a start; durations in milliseconds, 0 means none."""

    id: str = ""
    task_queue: str = ""
    execution_timeout: int = 0
    run_timeout: int = 0
    task_timeout: int = 0
    id_conflict_policy: str = "use_existing"
    id_reuse_policy: str = "allow_duplicate"
    execution_error_when_already_started: bool = False
    retry_policy: RetryPolicy | None = None
    cron_schedule: str = ""
    memo: Raw = ABSENT
    search_attributes: Raw = ABSENT
    start_delay: int = 0
    parent_close_policy: str = "terminate"
    wait_for_cancellation: bool = False
    namespace: str = ""  # empty: the worker's own, which is the only one
    enable_eager_start: bool = False  # a hint, for backends with such a shortcut


class Spawn(Body, frozen=True, omit_defaults=True):
    entry: str
    host: str
    args: Raw = NO_ARGS
    context: Raw = EMPTY
    options: StartOptions = StartOptions()
    name: str = ""
    messages: tuple[Message, ...] = ()
    monitor: bool = False
    link: bool = False
    exec: bool = False  # settle with the child's result instead of its pid


class Send(Body, frozen=True, omit_defaults=True):
    to: str  # pid or registered name
    topic: str
    payloads: Raw = NO_ARGS


class Ask(Body, frozen=True, omit_defaults=True):
    """A request about another execution.

    :ivar verb: monitor, unmonitor, link, unlink, cancel, terminate, register, lookup, unregister, or one of an
        actor's `READS`.
    """

    verb: str
    to: str = ""
    name: str = ""
    reason: str = ""
    request: str = ""  # only for the execution that this start request makes, now or later
    run_id: str = ""  # the asker's run, if it is a workflow: its watches last until that run ends
    args: Raw = NO_ARGS


class Attributes(Body, frozen=True, omit_defaults=True):
    """Upserts; a null removes the key."""

    search: dict[str, Raw] = {}
    memo: dict[str, Raw] = {}


class VersionMark(Body, frozen=True, omit_defaults=True):
    id: str
    version: int


class Answer(Body, frozen=True, omit_defaults=True):
    """The result of a query or update handler."""

    id: str
    ok: Raw = ABSENT
    err: ErrorData | None = None


class ContinueAsNew(Body, frozen=True, omit_defaults=True):
    """Start over, with the mail that the program has received but not read, and the cancellations it has not met."""

    args: Raw = NO_ARGS
    entry: str = ""  # default: the same entry
    context: Raw = EMPTY
    mail: tuple[Message, ...] = ()
    cancels: tuple[CancelRequest, ...] = ()


B = TypeVar("B")
_encode = msgspec.json.Encoder().encode
_decoders: dict[Any, Callable[[bytes], Any]] = {}


def pack(body: Any) -> Json:
    """Return the JSON of a body (or of any msgspec value)."""
    return _encode(body)


def unpack(body: Json | Raw, shape: type[B]) -> B:
    """Return a body as the struct `shape`.

    :raises msgspec.ValidationError: when it is not of that shape (an error of the runtime, not of users).
    """
    decode = _decoders.get(shape)
    if decode is None:
        decode = _decoders[shape] = msgspec.json.Decoder(shape).decode
    result: B = decode(body)
    return result


def outcome_ok(value: Json) -> Json:
    """The `Outcome` of success with a value that is already JSON."""
    return b'{"ok":' + value + b"}"
