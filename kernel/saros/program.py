"""The sans-I/O heart: a `Program` is one running ``main``, and this is all that it says and hears.

    advance(events) -> commands

It owns no clock, no task, no thread. Whoever drives it (the durable engine, the process host, a
Temporal workflow) brings events in and carries commands out; nothing else differs between them.

Every event and every command is the same small record: what (`op`), which (`ref`) and the details
(`body`, JSON). A command's `ref` counts 1, 2, 3... within its program; a ``done`` event carries the
`ref` of the command that it settles. The bodies' shapes are the structs below; user values inside
them stay raw JSON, which the kernel passes on without looking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from .clock import backoff
from .errors import ErrorData
from .raw import ABSENT, Raw
from .values import Json


# Histories keep many of these for long, and they hold nothing that could refer back to them.
class Record(msgspec.Struct, frozen=True, gc=False):
    """One line of a history: an event that came in, or a command that went out."""

    op: str
    ref: int  # of a command: its own; of an event: that of the command that it settles, or 0
    body: Json
    time: int = 0  # nanoseconds since 1970; of a command that of the event that caused it

    @property
    def size(self) -> int:
        """Bytes that this record adds to a history's size: its body, and 32 for the rest."""
        return len(self.body) + 32


Event = Record
"""Something that happened; the program's input. Its `time` is the program's clock from there on."""

Command = Record
"""Something that the program wants; its output."""


# --- events -------------------------------------------------------------------------------------

START: Final = "start"  # Start: the first event of every program
DONE: Final = "done"  # Outcome: the command `ref` succeeded or failed
MESSAGE: Final = "message"  # Message
EXIT: Final = "exit"  # Exit: a monitored or linked peer ended
LINK_DOWN: Final = "link_down"  # Exit: a linked peer ended abnormally
CANCEL: Final = "cancel"  # CancelRequest
OUTDATED: Final = "outdated"  # the app has been loaded anew; processes only
QUERY: Final = "query"  # Inquiry: answered by ANSWER, never recorded
UPDATE: Final = "update"  # Inquiry: answered by ANSWER, recorded

EVENT_OPS: Final = frozenset({START, DONE, MESSAGE, EXIT, LINK_DOWN, CANCEL, UPDATE})
"""What a history records of the outside world; all other records are commands."""

# --- commands -----------------------------------------------------------------------------------

CALL: Final = "call"  # Call -> DONE
TIMER: Final = "timer"  # StartTimer -> DONE
RESCIND: Final = "rescind"  # Rescind: cancel the call, timer or exec `body.ref`
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
    info: Raw = EMPTY  # object: what workflow.info() / activity.info() tell
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
    key: str = ""  # only on the way to an actor: see `Send.after`
    after: str = ""


class Exit(Body, frozen=True, omit_defaults=True):
    sender: str  # the pid that ended
    ok: Raw = ABSENT
    err: ErrorData | None = None


class CancelRequest(Body, frozen=True, omit_defaults=True):
    sender: str = ""
    reason: str = ""


class Inquiry(Body, frozen=True, omit_defaults=True):
    """A query or an update."""

    id: str
    name: str
    args: Raw = NO_ARGS


class RetryPolicy(Body, frozen=True, omit_defaults=True):
    """How a failed attempt is tried again. Intervals are milliseconds; 0 attempts means no limit.

    An initial interval of 0 is the default of 1 s, and a maximum interval below the initial one is as long as that.
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
    disable_eager_execution: bool = False  # a hint, for who has such a shortcut
    retry_policy: RetryPolicy = RetryPolicy()


class Call(Body, frozen=True, omit_defaults=True):
    target: str
    args: Raw = NO_ARGS
    context: Raw = EMPTY
    options: CallOptions = CallOptions()


class StartTimer(Body, frozen=True, omit_defaults=True):
    ns: int


class Rescind(Body, frozen=True, omit_defaults=True):
    ref: int
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
    enable_eager_start: bool = False  # a hint, for who has such a shortcut


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
    after: str | None = None  # key of the message that must come before this one; empty: this is the first


class Ask(Body, frozen=True, omit_defaults=True):
    """A request about another execution; `verb` is one of `ASK_VERBS`, or of an actor's `INQUIRIES`."""

    verb: str
    to: str = ""
    name: str = ""
    reason: str = ""
    request: str = ""  # only for the execution that this start request makes, whenever it is carried out
    run_id: str = ""  # the asker's run, if it is a workflow: what it watches, it watches until that run ends
    args: Raw = NO_ARGS


ASK_VERBS: Final = frozenset(
    {"monitor", "unmonitor", "link", "unlink", "cancel", "terminate", "register", "lookup", "unregister"}
)


class Attributes(Body, frozen=True, omit_defaults=True):
    """Upserts; a null removes the key."""

    search: dict[str, Raw] = {}
    memo: dict[str, Raw] = {}


class VersionMark(Body, frozen=True, omit_defaults=True):
    id: str
    version: int


class Answer(Body, frozen=True, omit_defaults=True):
    """What a query or update handler said."""

    id: str
    ok: Raw = ABSENT
    err: ErrorData | None = None


class ContinueAsNew(Body, frozen=True, omit_defaults=True):
    """Start over, with the mail that the program had received and not yet read."""

    args: Raw = NO_ARGS
    entry: str = ""  # default: the same entry
    context: Raw = EMPTY
    mail: tuple[Message, ...] = ()


class Inspection(Body, frozen=True, omit_defaults=True):
    """What a program offers to who looks at it from outside, and where its coroutines wait."""

    queries: tuple[str, ...] = ()  # names
    updates: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()  # that it listens to, besides its inbox
    stacks: tuple[str, ...] = ()  # of each blocked coroutine the user's lines, innermost first


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
    """The `Outcome` of success with a value that is JSON already."""
    return b'{"ok":' + value + b"}"


class Facts(Protocol):
    """What a program may ask its driver in the middle of a run; answered at once, without a yield.

    A durable driver's answers are functions of the history, so that a replay hears the same.
    """

    replaying: bool

    @property
    def name(self) -> str:
        """Of the entry and the execution, for messages."""
        ...

    def history(self) -> tuple[int, int]:
        """Number of events and bytes of the history before the present batch of events."""
        ...

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        """The version of a change for this execution, and whether a VERSION command records it.

        :raises Error: when a recorded version lies outside [lowest, highest]; it fails the task.
        """
        ...

    settles_side_effects: bool
    """Whether a DONE event tells the recorded value of a SIDE_EFFECT command, instead of `recorded`."""

    def recorded(self, ref: int) -> Json | None:
        """The recorded value of the SIDE_EFFECT command `ref`, or None when it is new."""
        ...

    def log(self, level: str, message: str, fields: Json) -> None:
        """Write a log record; a replaying driver drops it."""
        ...

    def heartbeat(self, details: Json) -> None:
        """Record that this attempt of an activity lives.

        :raises Error: INVALID when this is no activity.
        """
        ...

    def is_canceled(self) -> bool:
        """Whether this attempt of an activity has been cancelled."""
        ...

    def secret(self) -> str:
        """256 random bits of this run, in hexadecimal, for a program whose START has none."""
        ...

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        """Those of these search attributes (a JSON object) that can be stored, and why the others cannot."""
        ...


class Program(Protocol):
    """One execution of an entry's code."""

    def advance(self, events: Sequence[Event]) -> list[Sequence[Command]]:
        """Deliver events one at a time, each until every coroutine is blocked.

        :return: for each event the commands that it caused, in order. After a closing command
            (COMPLETE, FAIL, CONTINUE) the remaining events are not delivered and have no entry.
        :raises Error: when the task, not the program, has failed (budget, memory, code, versions);
            the program is then of no further use and the driver calls `close`.
        """
        ...

    def where(self, ref: int) -> str | None:
        """file:line of the user's code that issued the command `ref`, when known."""
        ...

    def inspect(self) -> Inspection:
        """What the program offers, and where it waits; no user code runs in it."""
        ...

    def close(self) -> None:
        """Free the program; no user code runs in it."""
        ...


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
