"""Deadlines: set, cleared and fired."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from saros.interfaces.signals import Mail
from saros.interfaces.timers import TO_CLOSE, TO_RUN, TO_START
from saros.model.execution import TIME_OUT, TIMED_OUT

from ..database.rows import BROKEN, read_mail
from ..database.transaction import ACTIVITIES, Transaction, marks
from . import activities, lifecycle, workflow_tasks
from .lifecycle import FREE, LIMIT, LIMIT_AGAIN, RETRY, WAKE, Found

log = logging.getLogger("saros.sql")

NEVER: Final = 2**62
MOST: Final = 100
"""The most deadlines that one transaction fires; a longer one would hold up others."""
AGAIN_NS: Final = 10_000_000
"""The pause before deadlines are tried again whose executions others had locked."""


class Fired(NamedTuple):
    """The number of deadlines that were due, and the time of the next one by the steady clock."""

    number: int
    following: int | None


class _Due(NamedTuple):
    seq: int
    run: int
    ref: int
    guard: str
    mail: Mail


def fire(tx: Transaction) -> Fired:
    """Fire all due deadlines, ordered by time, those of equal time in the order in which they were set."""
    rows = tx.all(
        "SELECT runs.id, seq, deadlines.run, ref, guard, op, mail_ref, body, mail_run_id FROM deadlines"
        " JOIN runs ON runs.run = deadlines.run WHERE due <= ? ORDER BY due, seq LIMIT ?",
        tx.steady,
        MOST,
    )
    free = tx.claim([row[0] for row in rows])
    fired = [row[1:] for row in rows if row[0] in free]
    due = [each for row in fired if (each := _read(tx, *row)) is not None]
    for guarded, group in itertools.groupby(due, lambda each: each.guard in _GUARDS):
        if guarded:
            for each in group:
                if tx.run(
                    "DELETE FROM deadlines WHERE seq = ?", each.seq
                ):  # else an earlier deadline has cleared it
                    _fire(tx, each)
        else:
            _post(tx, list(group))
    row = tx.one("SELECT due FROM deadlines ORDER BY due LIMIT 1")
    if row is None or not isinstance(row[0], int):
        return Fired(len(fired), None)
    return Fired(len(fired), row[0] if len(fired) == len(rows) else tx.steady + AGAIN_NS)


def _read(tx: Transaction, seq: int, run: int, ref: int, guard: str, *mail: Any) -> _Due | None:
    """Return a deadline; if it cannot be read, set it and its run aside."""
    try:
        return _Due(seq, run, ref, guard, read_mail(*mail))
    except BROKEN as exc:
        log.warning("deadline %s of run %s cannot be read and is set aside: %s", seq, run, exc)
        tx.later("UPDATE deadlines SET due = ? WHERE seq = ?", NEVER, seq)
        workflow_tasks.set_aside(tx, run, f"a deadline of it cannot be read: {exc}")
        return None


_GUARDS: Final = frozenset((WAKE, RETRY, LIMIT, LIMIT_AGAIN, TO_RUN, TO_START, TO_CLOSE))


def _post(tx: Transaction, dues: Sequence[_Due]) -> None:
    """Fire deadlines that only send mail, and so clear no others."""
    numbers = [due.seq for due in dues]
    left = {
        seq
        for (seq,) in tx.all(f"DELETE FROM deadlines WHERE seq IN ({marks(numbers)}) RETURNING seq", *numbers)
    }
    lifecycle.post_all(tx, [(due.run, due.mail) for due in dues if due.seq in left])


def _fire(tx: Transaction, due: _Due) -> None:
    run, guard = due.run, due.guard
    if guard == WAKE:
        if tx.run("UPDATE runs SET held = ? WHERE run = ? AND held <> ?", FREE, run, FREE):
            lifecycle.schedule_mail(tx, run)
    elif guard == RETRY:
        if tx.run(
            "UPDATE activities SET ready = ? WHERE run = ? AND ref = ? AND token IS NULL",
            tx.steady,
            run,
            due.ref,
        ):
            tx.touched.topics |= ACTIVITIES
    elif guard in (LIMIT, LIMIT_AGAIN, TO_RUN):
        _limit(tx, due)
    else:
        unless_taken = " AND token IS NULL" if guard == TO_START else ""
        if tx.one(f"SELECT 1 FROM activities WHERE run = ? AND ref = ?{unless_taken}", run, due.ref):
            activities.drop(tx, run, due.ref)
            lifecycle.post(tx, run, due.mail)


def _limit(tx: Transaction, due: _Due) -> None:
    """End a run that has reached its time limit."""
    row = tx.one("SELECT id, run_id FROM runs WHERE run = ?", due.run)
    found: Found | None = lifecycle.find_running(tx, *row) if row is not None else None
    if found is None:
        return
    if due.guard == LIMIT_AGAIN:
        lifecycle.tell(tx, found, TIME_OUT, due.mail.body, TIME_OUT)
    else:
        lifecycle.end(tx, found, TIMED_OUT, TIME_OUT, due.mail.body)
