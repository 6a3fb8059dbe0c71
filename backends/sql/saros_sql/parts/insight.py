"""Insight for people: pending work, workers, lengths of queues, paused schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from saros.interfaces.activities import ActivityTask
from saros.interfaces.insight import ACTIVITY, WORKFLOW, Paused, Queue, Worker
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingTask,
    pending_activity,
)
from saros.model.execution import RUNNING
from saros.model.records import pack

from ..database.rows import BROKEN, reading
from ..database.transaction import Transaction
from .lifecycle import STARTING, one_run

T = TypeVar("T")

_task = msgspec.json.Decoder(ActivityTask).decode
_failure = msgspec.json.Decoder(Failure | None).decode
_worker = msgspec.json.Decoder(Worker).decode
_paused = msgspec.json.Decoder(Paused).decode

_RUN: Final = (
    "SELECT run, runs.run_id, status, task_queue, held, ready, fence IS NOT NULL, since, failures + losses, problem,"
    " parked_since, next_try, sessions.worker FROM runs LEFT JOIN sessions ON sessions.owner = runs.owner"
)
_ACTIVITIES: Final = (
    "SELECT task, attempt, started, next_attempt, failure, heartbeat, beaten, canceled, sessions.worker"
    " FROM activities LEFT JOIN sessions ON sessions.owner = activities.owner WHERE run = ? ORDER BY ref"
)


def pending(tx: Transaction, id: str, run_id: str) -> Pending | None:
    """See `InsightStore.pending`."""
    row = one_run(tx, _RUN, id, run_id)
    if row is None:
        return None
    run, found_id, status, queue, held, ready, leased, since, failures, problem, parked, next_try, worker = (
        row
    )
    found = Pending(id, found_id, status, queue)
    if status != RUNNING:
        return found
    with reading(id):
        found.activities = [_activity(*each) for each in tx.all(_ACTIVITIES, run)]
    if problem is not None:
        found.parked = Parked(problem, max(1, failures), parked, next_try)
    if leased:
        found.task = PendingTask(queue, since, failures + 1, since, worker or "")
    elif ready is not None:
        found.task = PendingTask(queue, tx.by_the_day(ready), failures + 1)
    elif held == STARTING:
        found.begins = next_try
    return found


def _activity(
    blob: bytes,
    attempt: int,
    started: int | None,
    next_attempt: int | None,
    failure: bytes | None,
    heartbeat: bytes | None,
    beaten: int | None,
    canceled: int,
    worker: str | None,
) -> PendingActivity:
    found = pending_activity(_task(blob))
    found.attempt, found.started, found.next_attempt = attempt, started, next_attempt
    found.failure = None if failure is None else _failure(failure)
    found.worker, found.canceled, found.heartbeat_time = worker or "", bool(canceled), beaten
    if heartbeat is not None:
        found.heartbeat = msgspec.Raw(heartbeat)
    return found


_QUEUES: Final = {
    WORKFLOW: "SELECT task_queue, count(ready), min(ready) FROM runs WHERE status = ? GROUP BY task_queue",
    ACTIVITY: "SELECT task_queue, count(ready), min(ready) FROM activities GROUP BY task_queue",
}


def queues(tx: Transaction) -> list[Queue]:
    """Return the task queues of all running workflows and open activities."""
    args: dict[str, tuple[Any, ...]] = {WORKFLOW: (RUNNING,), ACTIVITY: ()}
    return [
        Queue(name, kind, waiting, None if oldest is None else tx.by_the_day(oldest))
        for kind, sql in _QUEUES.items()
        for name, waiting, oldest in tx.all(sql, *args[kind])
        if isinstance(name, str) and not isinstance(oldest, (str, bytes))
    ]


# --- workers ------------------------------------------------------------------------------------


def beat(tx: Transaction, worker: Worker, ns: int) -> None:
    """See `InsightStore.beat`."""
    tx.later("DELETE FROM workers WHERE id = ? OR until <= ?", worker.id, tx.steady)
    if ns > 0:
        tx.later(
            "INSERT INTO workers (id, owner, until, heard, told) VALUES (?, ?, ?, ?, ?)",
            worker.id,
            tx.owner,
            tx.steady + ns,
            tx.now,
            pack(worker),
        )


def workers(tx: Transaction) -> list[Worker]:
    rows = tx.all("SELECT told, heard FROM workers WHERE until > ? ORDER BY id", tx.steady)
    return [
        msgspec.structs.replace(worker, heard=heard)
        for told, heard in rows
        if (worker := _told(_worker, told))
    ]


# --- schedules ----------------------------------------------------------------------------------


def pause(tx: Transaction, schedule: str, paused: Paused | None) -> None:
    """See `InsightStore.pause`."""
    tx.later("DELETE FROM paused WHERE schedule = ?", schedule)
    if paused is not None:
        tx.later("INSERT INTO paused (schedule, told) VALUES (?, ?)", schedule, pack(paused))


def paused(tx: Transaction) -> dict[str, Paused]:
    rows = tx.all("SELECT schedule, told FROM paused")
    return {schedule: paused for schedule, told in rows if (paused := _told(_paused, told))}


def _told(read: Callable[[Any], T], told: Any) -> T | None:
    """Return what a row tells; None if another version, or nobody of us, wrote it."""
    try:
        return read(told)
    except BROKEN:
        return None
