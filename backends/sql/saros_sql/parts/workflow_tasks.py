"""Workflow tasks: take, park and commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

from saros.interfaces.history import WorkflowTask
from saros.interfaces.store import CONFLICT, FENCED, OK, Commit, too_large
from saros.interfaces.timers import TO_CLOSE
from saros.model.clock import LONGEST
from saros.model.execution import RUNNING
from saros.model.records import pack
from saros.model.search import upserted
from saros.model.text import one_line
from saros.model.timing import SECOND

from ..database.changes import Change
from ..database.rows import BROKEN, read_mail, read_raws, read_run, reading
from ..database.transaction import ACTIVITIES, TASKS, Transaction, oldest
from . import activities, attributes, lifecycle, sending, sessions
from .lifecycle import COLUMNS, FREE, NOTE_PARKED, PARKED, WAKE, Found

log = logging.getLogger("saros.sql")

REFUSED_NS: Final = 60 * SECOND
"""How long a task is parked when its commit is too large."""
MAILS: Final = 500
"""The most mail in one task: what the task records must fit into a commit."""


_READY: Final = "run, id, facts, length, failures, hangs"
_READY_ONE: Final = f"SELECT {_READY} FROM runs WHERE run = ? AND ready IS NOT NULL"
_INBOX: Final = f"SELECT seq, op, ref, body, run_id FROM inbox WHERE run = ? ORDER BY seq LIMIT {MAILS}"
_LEASE: Final = Change(
    "UPDATE runs SET ready = NULL, fence = ?, owner = ?, since = ? WHERE run = ?", str, str, int, int
)
_UNLEASE: Final = "UPDATE runs SET fence = NULL, owner = NULL WHERE run = ?"
_SET_ASIDE: Final = (
    f"UPDATE runs SET {NOTE_PARKED}, fence = NULL, owner = NULL, held = ?, problem = ?, losses = 0"
    " WHERE run = ?"
)


def take(tx: Transaction, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
    """Lease runs that have mail, those that wait longest first."""
    rows = oldest(tx, _READY, "runs", "run", queues, limit)
    ids = [row[1] for row in rows]
    if not tx.holds(ids):
        free = tx.claim(ids, TASKS)
        rows = [row for row in rows if row[1] in free]
        again = tx.each(_READY_ONE, [row[0] for row in rows])
        rows = [row for found in again for row in found]
    numbers = [row[0] for row in rows]
    fences = [tx.token() for _ in rows]
    for run, fence in zip(numbers, fences, strict=True):
        tx.later(_LEASE, fence, tx.owner, tx.now, run)
    tasks: list[WorkflowTask] = []
    inboxes = tx.each(_INBOX, numbers)
    for (run, id, facts, length, failures, hangs), fence, inbox in zip(rows, fences, inboxes, strict=True):
        if inbox:
            try:
                mails = [read_mail(*mail) for _seq, *mail in inbox]
                tasks.append(WorkflowTask(read_run(facts), fence, length, mails, tx.now, failures, hangs))
            except BROKEN as exc:
                log.warning("run %s of %s cannot be read and is set aside: %s", run, one_line(str(id)), exc)
                set_aside(tx, run, f"it cannot be read: {exc}")
        else:
            tx.later(_UNLEASE, run)
    return tasks


def set_aside(tx: Transaction, run: int, problem: str) -> None:
    """Hold a run until it is released."""
    tx.later(_SET_ASIDE, tx.now, None, PARKED, problem, run)


def give_back(tx: Transaction, tasks: Iterable[WorkflowTask]) -> None:
    """Give back leased tasks that this process has not begun."""
    for task in tasks:
        tx.lock(task.run.id)
        row = tx.one("SELECT run FROM runs WHERE run_id = ? AND fence = ?", task.run.run_id, task.fence)
        if row is not None:
            tx.later(_UNLEASE, row[0])
            lifecycle.schedule(tx, row[0])


def park(tx: Transaction, task: WorkflowTask, problem: str, delay: int, hung: bool) -> None:
    """See `Store.park`."""
    tx.lock(task.run.id)
    _park(tx, task.run.run_id, task.fence, problem, delay, hung)


def _park(tx: Transaction, run_id: str, fence: str, problem: str, delay: int, hung: bool) -> None:
    row = tx.one("SELECT run FROM runs WHERE run_id = ? AND fence = ?", run_id, fence)
    if row is None:
        return
    delay = min(delay, LONGEST)
    tx.later(
        f"UPDATE runs SET {NOTE_PARKED}, fence = NULL, owner = NULL, held = ?, problem = ?, losses = 0,"
        " failures = failures + 1, hangs = hangs + ? WHERE run = ?",
        tx.now,
        tx.now + delay if delay >= 0 else None,
        PARKED,
        problem.replace("\0", "\ufffd"),
        int(hung),
        row[0],
    )
    if delay >= 0:
        lifecycle.arm(tx, row[0], 0, WAKE, tx.steady + delay)


# --- commits ------------------------------------------------------------------------------------

_OWN: Final = (
    f"SELECT {COLUMNS}, fence, search, memo,"
    f" (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE inbox.run = runs.run LIMIT {MAILS + 1}) AS mails)"
    " FROM runs WHERE run_id = ?"
)
_COMMIT: Final = Change(
    "UPDATE runs SET fence = NULL, owner = NULL, failures = 0, hangs = 0, losses = 0, problem = ?, held = ?,"
    " length = ?, size = size + ?, ready = ? WHERE run = ?",
    *(str, int, int, int, int, int),
)
_CONSUME: Final = Change(
    "DELETE FROM inbox WHERE run = ? AND seq <="
    " (SELECT first.seq FROM inbox AS first WHERE first.run = ? ORDER BY first.seq LIMIT 1 OFFSET ?)",
    *(int, int, int),
)


def commit(tx: Transaction, commits: Sequence[Commit], most: int) -> list[str]:
    """Apply commits of different runs; OK, FENCED or CONFLICT for each.

    :param most: the largest value, in bytes. A commit that is too large is not applied, and its task is parked.
    """
    ids = [commit.run.id for commit in commits]
    tx.lock(*ids)
    rows = tx.each(_OWN, [commit.run.run_id for commit in commits])
    return [
        _commit(tx, commit, own[0] if own else None, most) for commit, own in zip(commits, rows, strict=True)
    ]


def _commit(tx: Transaction, commit: Commit, row: tuple[Any, ...] | None, most: int) -> str:
    why = too_large(commit, most)
    if why is not None:
        _park(tx, commit.run.run_id, commit.fence, why, REFUSED_NS, False)
        return FENCED
    if row is None:
        return FENCED
    *own, fence, search, memo, mails = row
    found = Found._make(own)
    if found.status != RUNNING or fence != commit.fence:
        return FENCED
    run, close = found.run, commit.close
    if found.length != commit.expected:
        tx.later(_UNLEASE, run)
        lifecycle.schedule_mail(tx, run)
        return CONFLICT
    if commit.consumed and (close is None or close.next is not None):
        tx.later(_CONSUME, run, run, commit.consumed - 1)
    _apply_children(tx, run, commit)
    with reading(found.id):
        _upsert(tx, run, commit, search, memo)
    if close is not None:
        found = found._replace(has_children=found.has_children or bool(commit.children))
        lifecycle.close(tx, found, close, commit.records)
        return OK
    has_ended = _apply_activities(tx, run, commit)
    lifecycle.append(tx, found, commit.records)
    length, size = found.length + len(commit.records), sum(record.size for record in commit.records)
    # An activity that is set aside remains a problem after this commit.
    problem = None if found.problem is None else sessions.set_aside(tx, run)
    waits = has_ended or mails > commit.consumed
    tx.later(_COMMIT, problem, FREE, length, size, tx.steady if waits else None, run)
    if waits:
        tx.touched.topics |= TASKS
    tx.touched.changed(found.run_id, length)
    return OK


def _apply_activities(tx: Transaction, run: int, commit: Commit) -> bool:
    """Apply a commit to activities and deadlines; return whether that has ended an activity, which gives mail."""
    tx.many(activities.CLEAR, [(run, ref) for ref in commit.cleared])
    for ref in commit.canceled:
        activities.drop(tx, run, ref)
    armed = [(each, tx.steady + min(each.delay, LONGEST)) for each in commit.deadlines]
    closes = {each.ref: due for each, due in armed if each.guard == TO_CLOSE}
    activities.insert(tx, run, commit.activities, closes)
    activities.insert_leased(tx, run, commit.leased, closes)
    if commit.activities:
        tx.touched.topics |= ACTIVITIES
    has_ended = [activities.ask(tx, run, ref, commit.run.run_id) for ref in commit.asked]
    for each, due in armed:
        lifecycle.arm(tx, run, each.ref, each.guard, due, each.mail)
    return any(has_ended)


def _apply_children(tx: Transaction, run: int, commit: Commit) -> None:
    if commit.outbox:
        sending.send_out(tx, commit.outbox)
    if commit.children:
        tx.many(
            "INSERT INTO children (run, ref, id, policy) VALUES (?, ?, ?, ?)",
            [(run, *child) for child in commit.children],
        )
    tx.many("DELETE FROM children WHERE run = ? AND ref = ?", [(run, ref) for ref in commit.ended])


def _upsert(tx: Transaction, run: int, commit: Commit, search: bytes | None, memo: bytes | None) -> None:
    if commit.search:
        merged = upserted(read_raws(search or b"{}"), commit.search)
        tx.later("UPDATE runs SET search = ? WHERE run = ?", pack(merged), run)
        for name in commit.search:
            tx.later("DELETE FROM attributes WHERE run = ? AND name = ?", run, name)
        attributes.index(tx, run, {name: merged[name] for name in commit.search if name in merged})
    if commit.memo:
        merged = upserted(read_raws(memo or b"{}"), commit.memo)
        tx.later("UPDATE runs SET memo = ? WHERE run = ?", pack(merged), run)
