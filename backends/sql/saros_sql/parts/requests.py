"""Executions as clients change them: start, mail, end, watchers."""

from __future__ import annotations

from typing import Final

from saros.interfaces.history import NewRun, check_use, withdrawn
from saros.interfaces.signals import Mail
from saros.model.errors import CANCELED, ErrorData
from saros.model.execution import (
    TERMINATE,
    TERMINATED,
    TIME_OUT,
    TIMED_OUT,
    Started,
    StartRequest,
    Watcher,
)
from saros.model.records import MESSAGE, Outcome, pack
from saros.model.values import Json

from ..database.transaction import ACTIVITIES, Transaction
from . import activities, lifecycle, names
from .lifecycle import FOUND, FREE, WAKE, Found

_REPLACED = pack(Outcome(err=ErrorData("terminated: replaced by a new start", CANCELED, False)))


def start(tx: Transaction, new: NewRun, request: StartRequest) -> Started:
    """See `Store.start`."""
    if request.name:
        tx.lock(request.name)
    old, has_withdrawn = _newest(tx, request)
    if old is not None and request.request_id and old.request_id == request.request_id:
        return Started(request.id, old.run_id, old.pid, True)
    if has_withdrawn:
        raise withdrawn(request.id)
    if old is not None and _joins(tx, old, request):
        return Started(request.id, old.run_id, old.pid, False)
    lifecycle.create(tx, new, watcher=request.watcher)
    pid = str(new.run.pid)
    if request.name:
        names.give(tx, request.name, pid)
    return Started(request.id, new.run.run_id, pid, True)


_NEWEST: Final = (
    "SELECT (SELECT 1 FROM withdrawn WHERE withdrawn.id = ? AND withdrawn.request_id = ?), newest.* FROM"
    f" (SELECT 1 AS one) AS one LEFT JOIN ({FOUND} WHERE runs.id = ? ORDER BY runs.run DESC LIMIT 1) AS newest"
    " ON 1 = 1"
)


def _newest(tx: Transaction, request: StartRequest) -> tuple[Found | None, bool]:
    """The newest run of an execution that is to start, and whether the start was withdrawn."""
    tx.lock(request.id)
    row = tx.one(_NEWEST, request.id, request.request_id, request.id)
    assert row is not None
    return (None if row[1] is None else Found._make(row[1:])), row[0] is not None


def _joins(tx: Transaction, old: Found, request: StartRequest) -> bool:
    """Return whether a start joins the existing run, by the policies; False after making room for a new one."""
    check_use(request, old.run_id, old.status)
    if not old.running:
        return False
    if request.options.id_conflict_policy == "terminate_existing":
        lifecycle.end(tx, old, TERMINATED, TERMINATE, _REPLACED)
        return False
    if request.request_id:
        tx.later(
            "INSERT INTO requests (run, request_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            old.run,
            request.request_id,
        )
    for message in request.messages:
        lifecycle.post(tx, old.run, Mail(MESSAGE, 0, pack(message)))
    if request.watcher is not None:
        lifecycle.watch(tx, old.run, request.watcher)
    return True


def post(tx: Transaction, id: str, mail: Mail) -> bool:
    """See `Store.post`."""
    found = lifecycle.find_running(tx, id, request=mail.request)
    if found is None or (mail.run_id and mail.run_id != found.run_id):
        # The sender may repeat a mail whose reply was lost, after that mail has ended the run.
        return bool(mail.key) and _seen(tx, id, mail.key)
    if mail.key and not tx.run(
        "INSERT INTO mail_keys (id, mail_key, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        id,
        mail.key,
        tx.steady,
    ):
        return True
    lifecycle.post(tx, found.run, mail)
    return True


def _seen(tx: Transaction, id: str, key: str) -> bool:
    return tx.one("SELECT 1 FROM mail_keys WHERE id = ? AND mail_key = ?", id, key) is not None


def terminate(tx: Transaction, id: str, outcome: Json, run_id: str, request: str) -> bool:
    """See `Store.terminate`."""
    found = lifecycle.find_running(tx, id, run_id, request)
    if found is not None:
        lifecycle.end(tx, found, TERMINATED, TERMINATE, outcome)
    return found is not None


def time_out(tx: Transaction, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
    """See `Store.time_out`."""
    found = lifecycle.find_running(tx, id, run_id)
    if found is not None:
        lifecycle.end(tx, found, TIMED_OUT, TIME_OUT, outcome, following)
    return found is not None


def release(tx: Transaction, id: str) -> bool:
    """See `Store.release`."""
    found = lifecycle.find_running(tx, id)
    if found is None:
        return False
    run = found.run
    hurried = activities.hurry(tx, run)
    if found.problem is None:
        return hurried
    tx.later("DELETE FROM deadlines WHERE run = ? AND guard = ?", run, WAKE)
    tx.later("UPDATE runs SET held = ?, problem = NULL, losses = 0, hangs = 0 WHERE run = ?", FREE, run)
    lifecycle.schedule_mail(tx, run)
    if tx.run(
        "UPDATE activities SET aside = 0, losses = 0, ready = ? WHERE run = ? AND aside = 1", tx.steady, run
    ):
        tx.touched.topics |= ACTIVITIES
    return True


def watch(tx: Transaction, id: str, watcher: Watcher) -> bool:
    found = lifecycle.find_running(tx, id)
    if found is not None:
        lifecycle.watch(tx, found.run, watcher)
    return found is not None


def unwatch(tx: Transaction, id: str, pid: str) -> None:
    found = lifecycle.find(tx, id)
    if found is not None:
        tx.later("DELETE FROM watchers WHERE run = ? AND pid = ? AND ref = 0", found.run, pid)
