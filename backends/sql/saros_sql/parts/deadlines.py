"""Deadlines: set, cleared and fired."""

from __future__ import annotations

from typing import Final, NamedTuple

from saros.interfaces.signals import Mail
from saros.interfaces.timers import TO_CLOSE, TO_RUN, TO_START
from saros.model.execution import TIME_OUT, TIMED_OUT

from ..database.transaction import ACTIVITIES, Transaction
from . import activities, lifecycle
from .lifecycle import FREE, LIMIT, LIMIT_AGAIN, RETRY, WAKE, Found

MOST: Final = 100
"""The most deadlines that one transaction fires; a longer one would hold up others."""


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
        "SELECT seq, run, ref, guard, op, mail_ref, body, mail_run_id FROM deadlines"
        f" WHERE due <= ? ORDER BY due, seq LIMIT ?{tx.skip_locked}",
        tx.steady,
        MOST,
    )
    for seq, run, ref, guard, *mail in rows:
        if tx.run("DELETE FROM deadlines WHERE seq = ?", seq):  # else an earlier deadline has cleared it
            _fire(tx, _Due(seq, run, ref, guard, Mail(*mail)))
    row = tx.one("SELECT due FROM deadlines ORDER BY due LIMIT 1")
    return Fired(len(rows), None if row is None else row[0])


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
    elif guard in (TO_START, TO_CLOSE):
        unless_taken = " AND token IS NULL" if guard == TO_START else ""
        if tx.one(f"SELECT 1 FROM activities WHERE run = ? AND ref = ?{unless_taken}", run, due.ref):
            activities.drop(tx, run, due.ref)
            lifecycle.post(tx, run, due.mail)
    else:
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
