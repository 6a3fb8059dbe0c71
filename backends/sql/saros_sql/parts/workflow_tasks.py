"""Workflow tasks: take, park and commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from saros.interfaces.history import WorkflowTask
from saros.interfaces.signals import Mail
from saros.interfaces.store import CONFLICT, FENCED, OK, Commit, too_large
from saros.interfaces.timers import TO_CLOSE, Deadline
from saros.model.clock import LONGEST
from saros.model.execution import RUNNING
from saros.model.records import pack
from saros.model.search import upserted
from saros.model.timing import SECOND

from ..database.transaction import ACTIVITIES, TASKS, Transaction, marks, oldest
from . import activities, attributes, lifecycle, sending, sessions
from .lifecycle import FREE, NOTE_PARKED, PARKED, WAKE, Found, read_raws, read_run

REFUSED_NS: Final = 60 * SECOND
"""How long a task is parked when its commit is too large."""
MAILS: Final = 500
"""The most mail in one task: what the task records must fit into a commit."""


def take(tx: Transaction, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
    """Lease runs that have mail, those that wait longest first."""
    candidates = oldest(tx, "run, id", "runs", "run", queues, limit)
    free = tx.claim([id for _, id in candidates], TASKS)
    numbers = [run for run, id in candidates if id in free]
    if not numbers:
        return []
    rows = tx.all(
        "SELECT run, facts, length, failures, hangs FROM runs"
        f" WHERE run IN ({marks(numbers)}) AND ready IS NOT NULL ORDER BY ready, run",
        *numbers,
    )
    tasks: list[WorkflowTask] = []
    leased: list[tuple[Any, ...]] = []
    for run, facts, length, failures, hangs in rows:
        mails = [
            Mail(op, ref, body, run_id)
            for op, ref, body, run_id in tx.all(
                "SELECT op, ref, body, run_id FROM inbox WHERE run = ? ORDER BY seq LIMIT ?", run, MAILS
            )
        ]
        fence = tx.token() if mails else None
        leased.append((fence, tx.owner if fence else None, tx.now, run))
        if fence:
            tasks.append(WorkflowTask(read_run(facts), fence, length, mails, tx.now, failures, hangs))
    tx.many("UPDATE runs SET ready = NULL, fence = ?, owner = ?, since = ? WHERE run = ?", leased)
    return tasks


def give_back(tx: Transaction, tasks: Iterable[WorkflowTask]) -> None:
    """Give back leased tasks that this process has not begun."""
    for task in tasks:
        tx.lock(task.run.id)
        row = tx.one("SELECT run FROM runs WHERE run_id = ? AND fence = ?", task.run.run_id, task.fence)
        if row is not None:
            tx.run("UPDATE runs SET fence = NULL, owner = NULL WHERE run = ?", row[0])
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
    tx.run(
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
    "SELECT run, id, run_id, pid, status, request_id, held, began, length, problem, fence, search, memo"
    " FROM runs WHERE run_id = ?"
)


def commit(tx: Transaction, commit: Commit, most: int) -> str:
    """Apply a commit; OK, FENCED or CONFLICT.

    :param most: the largest value, in bytes. A commit that is too large is not applied, and its task is parked.
    """
    tx.lock(commit.run.id)
    why = too_large(commit, most)
    if why is not None:
        _park(tx, commit.run.run_id, commit.fence, why, REFUSED_NS, False)
        return FENCED
    row = tx.one(_OWN, commit.run.run_id)
    if row is None:
        return FENCED
    *own, fence, search, memo = row
    found = Found._make(own)
    if found.status != RUNNING or fence != commit.fence:
        return FENCED
    run = found.run
    if found.length != commit.expected:
        tx.run("UPDATE runs SET fence = NULL, owner = NULL WHERE run = ?", run)
        lifecycle.schedule_mail(tx, run)
        return CONFLICT
    if commit.consumed:
        tx.run(
            "DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE run = ? ORDER BY seq LIMIT ?)",
            run,
            commit.consumed,
        )
    lifecycle.append(tx, run, found.length, commit.records)
    _apply_activities(tx, run, commit)
    _apply_children(tx, run, commit)
    _upsert(tx, run, commit, search, memo)
    _arm(tx, run, commit.deadlines)
    length = found.length + len(commit.records)
    # An activity that is set aside remains a problem after this commit.
    problem = None if found.problem is None else sessions.set_aside(tx, run)
    waits = tx.one("SELECT 1 FROM inbox WHERE run = ? LIMIT 1", run) if commit.close is None else None
    tx.run(
        "UPDATE runs SET fence = NULL, owner = NULL, failures = 0, hangs = 0, losses = 0, problem = ?, held = ?,"
        " length = ?, size = size + ?, ready = ? WHERE run = ?",
        problem,
        FREE,
        length,
        sum(record.size for record in commit.records),
        tx.steady if waits else None,
        run,
    )
    if waits:
        tx.touched.topics |= TASKS
    tx.touched.changed(found.run_id, length)
    if commit.close is not None:
        lifecycle.close(tx, found, commit.close)
    return OK


def _apply_activities(tx: Transaction, run: int, commit: Commit) -> None:
    tx.many("DELETE FROM deadlines WHERE run = ? AND ref = ?", [(run, ref) for ref in commit.cleared])
    for ref in commit.canceled:
        activities.drop(tx, run, ref)
    if commit.activities:
        activities.insert(tx, run, commit.activities)
        tx.touched.topics |= ACTIVITIES
    if commit.leased:
        activities.insert_leased(tx, run, commit.leased)
    for ref in commit.asked:
        activities.ask(tx, run, ref, commit.run.run_id)


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
        tx.run("UPDATE runs SET search = ? WHERE run = ?", pack(merged), run)
        for name in commit.search:
            tx.run("DELETE FROM attributes WHERE run = ? AND name = ?", run, name)
        attributes.index(tx, run, {name: merged[name] for name in commit.search if name in merged})
    if commit.memo:
        merged = upserted(read_raws(memo or b"{}"), commit.memo)
        tx.run("UPDATE runs SET memo = ? WHERE run = ?", pack(merged), run)


def _arm(tx: Transaction, run: int, deadlines: Iterable[Deadline]) -> None:
    armed = [
        (tx.steady + min(each.delay, LONGEST), run, each.ref, each.guard, each.mail) for each in deadlines
    ]
    closing = [(due, run, ref) for due, _, ref, guard, _ in armed if guard == TO_CLOSE]
    tx.many("UPDATE activities SET closes = ? WHERE run = ? AND ref = ?", closing)
    lifecycle.arm_all(tx, armed)
