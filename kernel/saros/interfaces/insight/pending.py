"""What is pending in a run, as stores and backends describe it. Times are nanoseconds since 1970 (see `insight`)."""

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

    :param attempt: the number of the current or next attempt; the first is 1.
    :param started: when that attempt was given to a worker; None while it waits.
    :param worker: its worker, as ``pid@host``; empty while it waits, or if the backend does not know it.
    :param next_attempt: when it may be attempted again; None unless it waits after a failure.
    :param failure: the failure of the previous attempt.
    :param heartbeat: the JSON of the details that any attempt recorded last.
    :param heartbeat_time: when they were recorded.
    :param canceled: its cancellation was requested.
    """

    ref: int
    entry: str
    task_queue: str
    id: str = ""  # its `activity_id`
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
    """A workflow that a run has started, and of whose end it has not been told; `run_id` is empty until known."""

    ref: int
    id: str
    entry: str
    run_id: str = ""
    status: str = ""


class PendingRequest(msgspec.Struct, omit_defaults=True):
    """A start, message or request to another execution that has no reply yet; `verb` is ``start``, ``signal``..."""

    ref: int
    verb: str
    to: str
    since: int


class PendingTask(msgspec.Struct, omit_defaults=True):
    """A workflow task that waits for a worker, or that a worker has (`started`).

    :param attempt: 1, plus the number of times in a row that it was parked or its worker was lost.
    """

    task_queue: str
    since: int | None = None
    attempt: int = 1
    started: int | None = None
    worker: str = ""


class Parked(msgspec.Struct, omit_defaults=True):
    """Why the workflow task of a run fails. It is retried until the cause is repaired.

    :param failures: the number of failures in a row.
    :param since: when it was first parked.
    :param next_try: the time of the next try; None if it waits to be released.
    """

    problem: str
    failures: int = 1
    since: int | None = None
    next_try: int | None = None


class Pending(msgspec.Struct, omit_defaults=True):
    """Everything that is pending in a run; nothing if the run has ended.

    :param begins: when its first task may run, while a start delay or a cron schedule holds it back.
    :param moved: the time of the last record in its history; the engine reads it from there.
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
"""The most characters of a failure's message that a store keeps."""


class _Outcome(msgspec.Struct):
    err: Failure | None = None


def failure_of(outcome: Json) -> Failure | None:
    """Return the failure of an attempt, cut so that a store can keep it with the activity; None for success."""
    if outcome.startswith(b'{"ok"') or outcome == b"{}":
        return None
    failure = msgspec.json.decode(outcome, type=_Outcome).err
    return None if failure is None else Failure(cut(failure.message, MOST_TEXT), failure.kind)


def pending_activity(task: ActivityTask) -> PendingActivity:
    """Return the pending activity that a task describes."""
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
