"""Activities without a result yet, and the leases of their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from saros.interfaces.activities import ActivityLease, ActivityTask, Settled
from saros.interfaces.insight.pending import failure_of
from saros.interfaces.signals import Mail
from saros.model.clock import LONGEST
from saros.model.errors import CANCELED, ErrorData
from saros.model.records import DONE, Outcome, pack
from saros.model.values import Json

from ..database.transaction import ACTIVITIES, Transaction, oldest
from . import lifecycle
from .lifecycle import RETRY

_read = msgspec.json.Decoder(ActivityTask).decode
_CANCELED: Final = pack(Outcome(err=ErrorData("canceled", CANCELED, False)))
_INSERT: Final = (
    "INSERT INTO activities (run, ref, task_queue, task, attempt, ready, token, owner, started)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def insert(tx: Transaction, run: int, tasks: Iterable[ActivityTask]) -> None:
    tx.many(
        _INSERT,
        [
            (run, task.ref, task.task_queue, pack(task), task.attempt, tx.steady, None, None, None)
            for task in tasks
        ],
    )


def insert_leased(tx: Transaction, run: int, leases: Iterable[ActivityLease]) -> None:
    """Insert activities whose attempts already run in this process."""
    tx.many(
        _INSERT,
        [
            (run, task.ref, task.task_queue, pack(task), task.attempt, None, token, tx.owner, now)
            for task, token, now in leases
        ],
    )


def drop(tx: Transaction, run: int, ref: int) -> None:
    tx.run("DELETE FROM activities WHERE run = ? AND ref = ?", run, ref)
    tx.run("DELETE FROM deadlines WHERE run = ? AND ref = ?", run, ref)


def ask(tx: Transaction, run: int, ref: int, run_id: str) -> None:
    """Ask an activity to end as canceled: a running attempt learns of it by its next heartbeat."""
    row = tx.one("SELECT token FROM activities WHERE run = ? AND ref = ?", run, ref)
    if row is None:
        return
    if row[0] is not None:
        tx.run("UPDATE activities SET canceled = 1 WHERE run = ? AND ref = ?", run, ref)
    else:
        drop(tx, run, ref)
        lifecycle.post(tx, run, Mail(DONE, ref, _CANCELED, run_id))


def take(tx: Transaction, queues: Sequence[str], limit: int) -> list[ActivityLease]:
    """Lease activities that are ready, those that wait longest first."""
    rows = oldest(tx, "seq, task, attempt, heartbeat", "activities", "seq", queues, limit, end=tx.skip_locked)
    leases: list[ActivityLease] = []
    taken: list[tuple[Any, ...]] = []
    for seq, blob, attempt, heartbeat in rows:
        task = _read(blob)
        task.attempt = attempt
        if heartbeat is not None:
            task.heartbeat = msgspec.Raw(heartbeat)
        lease = ActivityLease(task, tx.token(), tx.now)
        leases.append(lease)
        taken.append((lease.token, tx.owner, tx.now, seq))
    tx.many(
        "UPDATE activities SET ready = NULL, next_attempt = NULL, token = ?, owner = ?, started = ? WHERE seq = ?",
        taken,
    )
    return leases


def give_back(tx: Transaction, leases: Iterable[ActivityLease]) -> None:
    """Give back leased activities that this process has not begun."""
    for lease in leases:
        if tx.run(
            "UPDATE activities SET ready = ?, token = NULL, owner = NULL, started = NULL WHERE token = ?",
            tx.steady,
            lease.token,
        ):
            tx.touched.topics |= ACTIVITIES


_LEASED: Final = (
    "SELECT activities.seq, activities.run, activities.canceled, activities.closes FROM activities"
    " JOIN runs ON runs.run = activities.run"
    " WHERE runs.run_id = ? AND activities.ref = ? AND activities.token = ?"
)


def settle(tx: Transaction, results: Iterable[Settled]) -> None:
    """See `Store.settle`."""
    for lease, outcome, retry_in in results:
        task = lease.task
        tx.lock(task.id)
        row = tx.one(_LEASED, task.run_id, task.ref, lease.token)
        if row is None:
            continue
        seq, run, canceled, closes = row
        if retry_in is not None and not canceled:
            delay = min(retry_in, LONGEST)
            due = tx.steady + delay
            if closes is None or due < closes:
                tx.run(
                    "UPDATE activities SET token = NULL, owner = NULL, attempt = attempt + 1, losses = 0,"
                    " started = NULL, next_attempt = ?, failure = ? WHERE seq = ?",
                    tx.now + delay,
                    pack(failure_of(outcome)),
                    seq,
                )
                lifecycle.arm(tx, run, task.ref, RETRY, due)
                continue
        drop(tx, run, task.ref)
        lifecycle.post(tx, run, Mail(DONE, task.ref, outcome, task.run_id))


def hurry(tx: Transaction, run: int) -> bool:
    """Attempt at once what waits for a retry; return False if nothing does."""
    tx.run("DELETE FROM deadlines WHERE run = ? AND guard = ?", run, RETRY)
    hurried = tx.run(
        "UPDATE activities SET ready = ?, next_attempt = NULL WHERE run = ? AND next_attempt IS NOT NULL"
        " AND ready IS NULL AND token IS NULL AND aside = 0",
        tx.steady,
        run,
    )
    if hurried:
        tx.touched.topics |= ACTIVITIES
    return bool(hurried)


def heartbeat(tx: Transaction, lease: ActivityLease, details: Json | None) -> bool:
    """See `Store.heartbeat`."""
    row = tx.one(_LEASED, lease.task.run_id, lease.task.ref, lease.token)
    if row is not None and details is not None:
        tx.run("UPDATE activities SET heartbeat = ?, beaten = ? WHERE seq = ?", details, tx.now, row[0])
    return row is None or bool(row[2])
