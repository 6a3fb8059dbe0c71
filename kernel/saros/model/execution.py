"""Executions as clients and stores see them: identity, status, runs and the records of their history."""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

import msgspec

from . import values
from .errors import INTERNAL, INVALID, Error, ErrorData
from .objects import text_of
from .records import EMPTY, NO_ARGS, Body, Message, Outcome, StartOptions
from .records import Record as Record
from .text import shown
from .values import Json

RUNNING: Final = "running"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
TERMINATED: Final = "terminated"
TIMED_OUT: Final = "timed_out"
CONTINUED: Final = "continued_as_new"

STATUSES: Final = (RUNNING, COMPLETED, FAILED, CANCELED, TERMINATED, TIMED_OUT, CONTINUED)

TERMINATE: Final = "terminate"
TIME_OUT: Final = "time_out"
"""Operations of closing records that were not written by a program, because the execution was ended from outside."""


class Pid(NamedTuple):
    """The address of an execution: ``place|id``.

    The place of a workflow is its worker; that of a function or a process is its node, which begins with ``@``.
    """

    place: str
    id: str

    def __str__(self) -> str:
        return f"{self.place}|{self.id}"

    @property
    def is_workflow(self) -> bool:
        return not self.place.startswith("@")

    @classmethod
    def parse(cls, text: str) -> Pid | None:
        """Parse a pid; return None if the text is a name."""
        place, bar, id = text.partition("|")
        return cls(place, id) if bar else None


class Parent(Body, frozen=True, omit_defaults=True):
    """The execution that waits for a run's end, and how: see `Watcher`."""

    pid: str
    run_id: str = ""


class Watcher(Body, frozen=True, omit_defaults=True):
    """The receiver of a run's end: as DONE of command `ref` of run `run_id`, or else as EXIT or LINK_DOWN."""

    pid: str
    run_id: str = ""
    ref: int = 0
    link: bool = False


class StartRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workflow to start. `request_id` makes a repeated request harmless."""

    id: str
    entry: str
    type: str
    worker: str
    task_queue: str
    args: msgspec.Raw = NO_ARGS
    context: msgspec.Raw = EMPTY
    options: StartOptions = StartOptions()
    messages: tuple[Message, ...] = ()
    name: str = ""
    parent: Parent | None = None
    watcher: Watcher | None = None
    request_id: str = ""
    trace: str = ""  # see `Run`

    @property
    def pid(self) -> Pid:
        return Pid(self.worker or "default", self.id)


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """The immutable facts of one run of an execution."""

    id: str
    run_id: str
    entry: str
    type: str
    worker: str
    task_queue: str
    start_time: int
    args: msgspec.Raw = NO_ARGS
    context: msgspec.Raw = EMPTY
    options: StartOptions = StartOptions()
    parent: Parent | None = None
    attempt: int = 1
    first_run_id: str = ""
    first_start_time: int = 0
    continued_from: str = ""
    request_id: str = ""
    name: str = ""
    due: int = 0  # the date for which a cron schedule made the run, in nanoseconds since 1970
    trace: str = (
        ""  # a carrier that its starter gave: a W3C traceparent, or the run whose trace it belongs to
    )

    @property
    def pid(self) -> Pid:
        return Pid(self.worker or "default", self.id)


class Description(msgspec.Struct, omit_defaults=False):
    """What `describe` and `list` return. Times are nanoseconds since 1970, sizes are bytes."""

    id: str
    run_id: str
    pid: str
    type: str
    entry: str
    status: str
    task_queue: str
    start_time: int
    close_time: int | None = None
    history_length: int = 0
    history_size: int = 0
    attempt: int = 1
    parent: str | None = None
    search_attributes: dict[str, msgspec.Raw] = {}
    memo: dict[str, msgspec.Raw] = {}
    problem: str | None = None  # why its workflow task is parked, if it is


class Started(NamedTuple):
    id: str
    run_id: str
    pid: str
    created: bool  # False: it ran already (id_conflict_policy = use_existing)


class HistoryPage(NamedTuple):
    """A part of a run's history. `next_run_id` names the run that continues a closed one, if any."""

    run: Run
    start: int  # number of records before the first of `records`
    records: list[Record]
    status: str
    next_run_id: str = ""


def new_id() -> str:
    """A new id for a run, a request, or an execution without an id: a random UUID."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def check_text(text: str, what: str) -> str:
    """Return text that can be sent to a server.

    :param what: names it in the error.
    :raises Error: INVALID when it has a lone surrogate, such as those that stand for wrong bytes of an argument.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        why = f"is not valid Unicode at character {error.start + 1}"
        raise Error(f"the {what} {shown(text)} {why}", INVALID, retryable=False) from None
    return text


def check_id(id: str) -> str:
    """Return a workflow id that every backend can store.

    :raises Error: INVALID when it is blank, too long or has control characters.
    """
    if not id.strip() or len(id) > 512 or not id.isprintable() or len(id.encode()) > 1_000 or "|" in id:
        raise Error(
            f"{shown(id)} is not a valid workflow id: use 1 to 512 printable characters (at most 1,000 bytes) "
            "without '|'",
            INVALID,
            retryable=False,
        )
    return id


def check_topic(topic: str) -> str:
    """Return a topic that a message may have.

    :raises Error: INVALID for topics that are reserved for Saros, and as `check_text` does.
    """
    if topic.startswith("@"):
        raise Error(
            f"topics that begin with @ are reserved, such as {shown(topic)}", INVALID, retryable=False
        )
    return check_text(topic, "topic")


def value_of(body: Json) -> Json:
    """The value in an `Outcome`.

    :raises Error: the failure that it holds.
    """
    outcome = msgspec.json.decode(body, type=Outcome)
    if outcome.err is not None:
        raise values.to_error(outcome.err)
    return bytes(outcome.ok) if outcome.ok else values.NULL


def error_of(raised: BaseException) -> ErrorData:
    """The error that the caller of a function gets for an exception (see "Failure semantics"). Never raises."""
    try:
        return values.error_data(raised) if isinstance(raised, Error) else _error_of(raised)
    except BaseException:  # a user's class that lacks attributes of Error, or whose own code fails
        name = text_of(type.__dict__["__name__"].__get__(type(raised)))
        what = "is not a complete saros.Error" if issubclass(type(raised), Error) else "cannot be read"
        return ErrorData(f"{name} {what}", INTERNAL, False)


def _error_of(raised: BaseException) -> ErrorData:
    kind: str
    if isinstance(raised, TimeoutError):
        kind = "Timeout"
    elif isinstance(raised, OSError):
        kind = "Unavailable"
    else:
        kind = "Internal"
    name = text_of(type(raised).__name__)
    text = text_of(raised) or name
    if isinstance(raised, BaseExceptionGroup):  # its own text only counts what it holds
        text = f"{text}: {error_of(raised.exceptions[0]).message}"
    retryable: Any = None if kind != "Internal" else False
    return ErrorData(f"{name}: {text}" if kind == "Internal" else text, kind, retryable)
