"""Activities without a result yet, and the leases of their attempts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from saros.interfaces.activities import ActivityLease, ActivityTask, Settled
from saros.interfaces.insight.pending import failure_of
from saros.interfaces.signals import Mail
from saros.model.clock import LONGEST
from saros.model.errors import CANCELED, ErrorData
from saros.model.records import DONE, Outcome, pack
from saros.model.values import Json

from ..database.changes import Change
from ..database.rows import BROKEN
from ..database.transaction import ACTIVITIES, TASKS, Transaction, marks
from . import lifecycle
from .lifecycle import FREE, POST, RETRY, SCHEDULE_RUN

log = logging.getLogger("saros.sql")
_read = msgspec.json.Decoder(ActivityTask).decode
_CANCELED: Final = pack(Outcome(err=ErrorData("canceled", CANCELED, False)))
_INSERT: Final = Change(
    "INSERT INTO activities (run, ref, task_queue, task, attempt, closes, ready, token, owner, started)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    *(int, int, str, bytes, int, int, int, str, str, int),
)


Closes = dict[int, int]
"""ref -> when an activity is over, with all its attempts, by the steady clock."""


def insert(tx: Transaction, run: int, tasks: Iterable[ActivityTask], closes: Closes) -> None:
    for task in tasks:
        place = (run, task.ref, task.task_queue, pack(task), task.attempt, closes.get(task.ref))
        tx.later(_INSERT, *place, tx.steady, None, None, None)


def insert_leased(tx: Transaction, run: int, leases: Iterable[ActivityLease], closes: Closes) -> None:
    """Insert activities whose attempts already run in this process."""
    for task, token, now in leases:
        place = (run, task.ref, task.task_queue, pack(task), task.attempt, closes.get(task.ref))
        tx.later(_INSERT, *place, None, token, tx.owner, now)


_DROP: Final = Change("DELETE FROM activities WHERE run = ? AND ref = ?", int, int)
CLEAR: Final = Change("DELETE FROM deadlines WHERE run = ? AND ref = ?", int, int)


def drop(tx: Transaction, run: int, ref: int) -> None:
    tx.later(_DROP, run, ref)
    tx.later(CLEAR, run, ref)


def ask(tx: Transaction, run: int, ref: int, run_id: str) -> bool:
    """Ask an activity to end as canceled: a running attempt learns of it by its next heartbeat.

    Return whether it has ended at once, so that there is mail.
    """
    row = tx.one("SELECT token FROM activities WHERE run = ? AND ref = ?", run, ref)
    if row is None:
        return False
    if row[0] is not None:
        tx.later("UPDATE activities SET canceled = 1 WHERE run = ? AND ref = ?", run, ref)
        return False
    drop(tx, run, ref)
    lifecycle.post(tx, run, Mail(DONE, ref, _CANCELED, run_id))
    return True


def take(tx: Transaction, queues: Sequence[str], limit: int) -> list[ActivityLease]:
    """Lease activities that are ready, those that wait longest."""
    rows = tx.all(
        "WITH oldest AS MATERIALIZED (SELECT seq FROM activities WHERE ready IS NOT NULL"
        f" AND task_queue IN ({marks(queues)}) ORDER BY ready, seq LIMIT ?{tx.skip_locked})"
        " UPDATE activities SET ready = NULL, next_attempt = NULL, token = CAST(? AS TEXT) || seq, owner = ?,"
        " started = ? WHERE seq IN (SELECT seq FROM oldest) RETURNING seq, token, task, attempt, heartbeat",
        *queues,
        limit,
        f"{tx.token()}:",
        tx.owner,
        tx.now,
    )
    leases: list[ActivityLease] = []
    for seq, token, blob, attempt, heartbeat in sorted(rows, key=itemgetter(0)):
        try:
            task = _read(blob)
            task.attempt = attempt
            if heartbeat is not None:
                task.heartbeat = msgspec.Raw(heartbeat)
        except BROKEN as exc:
            log.warning("activity %s cannot be read and is set aside: %s", seq, exc)
            tx.later("UPDATE activities SET aside = 1, token = NULL, owner = NULL WHERE seq = ?", seq)
            continue
        leases.append(ActivityLease(task, token, tx.now))
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


class _Leased(NamedTuple):
    seq: int
    run: int
    run_id: str
    ref: int
    canceled: int
    closes: int | None
    is_free: bool  # its run is neither held nor with a worker


_LEASED: Final = (
    "SELECT activities.seq, activities.run, runs.run_id, activities.ref, activities.canceled, activities.closes,"
    " runs.held = 0 AND runs.fence IS NULL FROM activities JOIN runs ON runs.run = activities.run"
    " WHERE activities.token = ?"
)
_RETRY: Final = (
    "UPDATE activities SET token = NULL, owner = NULL, attempt = attempt + 1, losses = 0, started = NULL,"
    " next_attempt = ?, failure = ? WHERE seq = ?"
)


def _leased(tx: Transaction, leases: Sequence[ActivityLease]) -> list[_Leased | None]:
    """What is leased by each; None if it is not any more."""
    found: list[_Leased | None] = []
    for lease, rows in zip(leases, tx.each(_LEASED, [lease.token for lease in leases]), strict=True):
        leased = _Leased._make(rows[0]) if rows else None
        own = leased is not None and (leased.run_id, leased.ref) == (lease.task.run_id, lease.task.ref)
        found.append(leased if own and leased not in found else None)
    return found


def settle(tx: Transaction, results: Sequence[Settled]) -> None:
    """See `Store.settle`."""
    tx.lock(*[result.lease.task.id for result in results])
    leases = [result.lease for result in results]
    for (_, outcome, retry_in), leased in zip(results, _leased(tx, leases), strict=True):
        if leased is None or _retried(tx, leased, outcome, retry_in):
            continue
        drop(tx, leased.run, leased.ref)
        tx.later(POST, leased.run, leased.run_id, DONE, leased.ref, outcome)
        if leased.is_free:
            tx.later(SCHEDULE_RUN, tx.steady, FREE, leased.run)
            tx.touched.topics |= TASKS


def _retried(tx: Transaction, leased: _Leased, outcome: Json, retry_in: int | None) -> bool:
    """Whether another attempt follows, which is noted then."""
    if retry_in is None or leased.canceled:
        return False
    delay = min(retry_in, LONGEST)
    due = tx.steady + delay
    if leased.closes is not None and due >= leased.closes:
        return False
    tx.later(_RETRY, tx.now + delay, pack(failure_of(outcome)), leased.seq)
    lifecycle.arm(tx, leased.run, leased.ref, RETRY, due)
    return True


def hurry(tx: Transaction, run: int) -> bool:
    """Attempt at once what waits for a retry; return False if nothing does."""
    tx.later("DELETE FROM deadlines WHERE run = ? AND guard = ?", run, RETRY)
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
    leased = _leased(tx, [lease])[0]
    if leased is not None and details is not None:
        tx.later("UPDATE activities SET heartbeat = ?, beaten = ? WHERE seq = ?", details, tx.now, leased.seq)
    return leased is None or bool(leased.canceled)
