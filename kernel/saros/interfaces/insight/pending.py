"""What is under way in a run, as stores and backends tell it. Times are nanoseconds since 1970 (see `insight`)."""

from __future__ import annotations

from typing import Final

import msgspec

from ...model.raw import ABSENT
from ...model.text import cut
from ...model.values import Json
from ..activities import ActivityTask


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed, in short."""

    message: str
    kind: str = ""


class PendingActivity(msgspec.Struct, omit_defaults=True):
    """An activity that has not ended. It runs (`started`), waits for a worker, or waits for `next_attempt`.

    :param attempt: the number of the attempt that runs, or comes next; the first is 1.
    :param started: when that attempt was given to a worker; None while it waits.
    :param worker: who has it, as ``pid@host``; empty while it waits, or when the backend cannot tell.
    :param next_attempt: when it may be attempted again; None unless it waits after a failure.
    :param failure: of the attempt before.
    :param heartbeat: the JSON of the details that were recorded last, by whichever attempt.
    :param heartbeat_time: when.
    :param canceled: it was asked to end.
    """

    ref: int
    entry: str
    task_queue: str
    id: str = ""  # that the activity knows itself by
    attempt: int = 1
    scheduled: int = 0
    started: int | None = None
    worker: str = ""
    next_attempt: int | None = None
    failure: Failure | None = None
    heartbeat: msgspec.Raw = ABSENT
    heartbeat_time: int | None = None
    canceled: bool = False


class PendingTimer(msgspec.Struct, omit_defaults=True):
    """A timer, a sleep or a ticker; `due` is when it fires."""

    ref: int
    started: int
    due: int


class PendingChild(msgspec.Struct, omit_defaults=True):
    """A workflow that a run has started, and whose end it has not heard of; `run_id` once it is known."""

    ref: int
    id: str
    entry: str
    run_id: str = ""
    status: str = ""


class PendingRequest(msgspec.Struct, omit_defaults=True):
    """A start, message or question to another execution, on its way; `verb` is such as ``start`` or ``signal``."""

    ref: int
    verb: str
    to: str
    since: int


class PendingTask(msgspec.Struct, omit_defaults=True):
    """A workflow task that waits for a worker, or that one has (`started`).

    :param attempt: 1, and one more for each time in a row that it was parked or its worker was lost.
    """

    task_queue: str
    since: int | None = None
    attempt: int = 1
    started: int | None = None
    worker: str = ""


class Parked(msgspec.Struct, omit_defaults=True):
    """Why the workflow task of a run fails; it is tried again until somebody has repaired the cause.

    :param failures: how often in a row it has failed.
    :param since: when it was parked first.
    :param next_try: when it is tried again; None when it waits to be released.
    """

    problem: str
    failures: int = 1
    since: int | None = None
    next_try: int | None = None


class Pending(msgspec.Struct, omit_defaults=True):
    """All that is under way in a run. Of one that has ended, nothing is.

    :param begins: when its first task may run, while a start delay or a cron schedule holds it back.
    :param moved: when its history grew last; the engine reads it from there.
    """

    id: str
    run_id: str
    status: str
    task_queue: str
    activities: list[PendingActivity] = []
    timers: list[PendingTimer] = []
    children: list[PendingChild] = []
    requests: list[PendingRequest] = []
    task: PendingTask | None = None
    parked: Parked | None = None
    begins: int | None = None
    moved: int | None = None


MOST_TEXT: Final = 1_000
"""Characters of a failure's message that a store keeps."""


class _Outcome(msgspec.Struct):
    err: Failure | None = None


def failure_of(outcome: Json) -> Failure | None:
    """What an attempt with this `Outcome` failed with, short enough to be kept with its activity."""
    if outcome.startswith(b'{"ok"') or outcome == b"{}":
        return None
    failure = msgspec.json.decode(outcome, type=_Outcome).err
    return None if failure is None else Failure(cut(failure.message, MOST_TEXT), failure.kind)


def pending_activity(task: ActivityTask) -> PendingActivity:
    """What a task tells of its activity."""
    call = task.call
    return PendingActivity(
        task.ref,
        call.target,
        task.task_queue,
        call.options.id or str(task.ref),
        task.attempt,
        task.scheduled,
        heartbeat=task.heartbeat,
    )
