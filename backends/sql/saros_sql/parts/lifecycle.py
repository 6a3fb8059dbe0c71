"""How runs begin and end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from saros.interfaces.history import Close, NewRun
from saros.interfaces.signals import Child, Mail, Outgoing, farewell, lane_of
from saros.model.clock import LONGEST
from saros.model.execution import RUNNING, Record, Watcher
from saros.model.records import CANCEL, EXIT, pack
from saros.model.values import Json, members

from ..database.changes import Change
from ..database.rows import read_facts, read_watchers
from ..database.transaction import CLOSED, TASKS, Transaction, marks, padded
from . import attributes, sending

FREE: Final = 0
STARTING: Final = 1
"""The run is held until its start, or until a cancellation arrives."""
PARKED: Final = 2
"""The run is held until its deadline `WAKE`, or until it is released."""

NOTE_PARKED: Final = "parked_since = CASE WHEN problem IS NULL THEN ? ELSE parked_since END, next_try = ?"
"""Assignments of an UPDATE that parks a run. Parameters: the time of day, and the time of the next try or NULL."""

WAKE: Final = "wake"
LIMIT: Final = "limit"
LIMIT_AGAIN: Final = "limit again"
RETRY: Final = "retry"
"""With the three above: the guards of deadlines, in addition to those of `saros.interfaces.timers`."""


class Found(NamedTuple):
    """The columns of a run that most of its changes need."""

    run: int  # the number of its row
    id: str
    run_id: str
    pid: str
    status: str
    request_id: str
    held: int
    began: int
    length: int
    problem: str | None
    has_children: bool
    has_watchers: bool

    @property
    def running(self) -> bool:
        return self.status == RUNNING


COLUMNS: Final = (
    "run, id, run_id, pid, status, request_id, held, began, length, problem,"
    " EXISTS (SELECT 1 FROM children WHERE children.run = runs.run) AS has_children,"
    " EXISTS (SELECT 1 FROM watchers WHERE watchers.run = runs.run) AS has_watchers"
)
"""Of `Found`."""
FOUND: Final = f"SELECT {COLUMNS} FROM runs"


def find(tx: Transaction, id: str, run_id: str = "") -> Found | None:
    """Return a run of an execution, by default the newest, in order to change it."""
    tx.lock(id)
    row = one_run(tx, FOUND, id, run_id)
    return None if row is None else Found._make(row)


def one_run(tx: Transaction, select: str, id: str, run_id: str) -> tuple[Any, ...] | None:
    """The row of a run of an execution; of its newest by default.

    :param select: a SELECT from `runs`, without a condition.
    """
    if run_id:
        return tx.one(f"{select} WHERE runs.run_id = ? AND runs.id = ?", run_id, id)
    return tx.one(f"{select} WHERE runs.id = ? ORDER BY runs.run DESC LIMIT 1", id)


def find_running(tx: Transaction, id: str, run_id: str = "", request: str = "") -> Found | None:
    """Return a run of an execution if it is running.

    With `request`, only a run that this start request created; a request that was not carried out yet is withdrawn.
    """
    found = find(tx, id, run_id)
    if request and (found is None or found.request_id != request):
        if found is None or not tx.one(
            "SELECT 1 FROM requests WHERE run = ? AND request_id = ?", found.run, request
        ):
            tx.later(
                "INSERT INTO withdrawn (id, request_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                id,
                request,
                tx.steady,
            )
        return None
    return found if found is not None and found.running else None


# --- mail ---------------------------------------------------------------------------------------

POST: Final = Change(
    "INSERT INTO inbox (run, run_id, op, ref, body) VALUES (?, ?, ?, ?, ?)", int, str, str, int, bytes
)
_POST_FIRST: Final = (
    "INSERT INTO inbox (run, run_id, op, ref, body) SELECT run, ?, ?, ?, ? FROM runs WHERE run_id = ?"
)
SCHEDULE: Final = "UPDATE runs SET ready = ? WHERE ready IS NULL AND fence IS NULL AND held = ?"
SCHEDULE_RUN: Final = Change(f"{SCHEDULE} AND run = ?", int, int, int)
_KEEP: Final = (
    "INSERT INTO inbox (run, run_id, op, ref, body) "
    "SELECT ?, run_id, op, ref, body FROM inbox WHERE run = ? AND run_id = '' ORDER BY seq"
)
"""Moves mail that names no run to the next run."""
_CANCELLED: Final = "SELECT 1 FROM inbox WHERE run = ? AND run_id = '' AND op = ? LIMIT 1"


def post(tx: Transaction, run: int, mail: Mail) -> None:
    """Add mail to the inbox of a running run."""
    tx.later(POST, run, mail.run_id, mail.op, mail.ref, mail.body)
    if mail.op == CANCEL and tx.run(
        "UPDATE runs SET held = ? WHERE run = ? AND held = ?", FREE, run, STARTING
    ):
        tx.later("DELETE FROM deadlines WHERE run = ? AND guard = ?", run, WAKE)
    schedule(tx, run)


def post_all(tx: Transaction, mails: Sequence[tuple[int, Mail]]) -> None:
    """Add mails to the inboxes of running runs; none of them is a request to cancel."""
    if not mails:
        return
    tx.many(POST, [(run, mail.run_id, mail.op, mail.ref, mail.body) for run, mail in mails])
    runs = padded(list(dict.fromkeys(run for run, _ in mails)))
    if tx.run(f"{SCHEDULE} AND run IN ({marks(runs)})", tx.steady, FREE, *runs):
        tx.touched.topics |= TASKS


def schedule(tx: Transaction, run: int) -> None:
    """Make a run with mail ready for a worker, unless a worker has it or it is held."""
    if tx.run(SCHEDULE_RUN, tx.steady, FREE, run):
        tx.touched.topics |= TASKS


def schedule_mail(tx: Transaction, run: int) -> None:
    """Make a run ready for a worker if it has mail; see `schedule`."""
    if tx.one("SELECT 1 FROM inbox WHERE run = ? LIMIT 1", run):
        schedule(tx, run)


_ARM: Final = Change(
    "INSERT INTO deadlines (due, run, ref, guard, mail_run_id, op, mail_ref, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    *(int, int, int, str, str, str, int, bytes),
)
_NO_MAIL: Final = Mail("", 0, b"")


def arm(tx: Transaction, run: int, ref: int, guard: str, due: int, mail: Mail = _NO_MAIL) -> None:
    """Set a deadline; `due` is by the database's steady clock."""
    tx.later(_ARM, due, run, ref, guard, mail.run_id, mail.op, mail.ref, mail.body)
    tx.touched.alarm(due)


# --- begin --------------------------------------------------------------------------------------

_CREATE: Final = (
    "INSERT INTO runs (id, run_id, pid, type, task_queue, status, start_time, began, request_id, held, ready,"
    " next_try, facts, search, memo) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def create(tx: Transaction, new: NewRun, old: Found | None = None, watcher: Watcher | None = None) -> None:
    """Create a run with its first mail.

    :param old: the run that it continues.
    """
    run, options = new.run, new.run.options
    began, delay = tx.steady if old is None else old.began, min(new.delay, LONGEST)
    held = FREE
    if new.delay > 0 and all(mail.op != CANCEL for mail in new.mails):
        held = FREE if old is not None and tx.one(_CANCELLED, old.run, CANCEL) else STARTING
    search = members(options.search_attributes) if options.search_attributes else {}
    memo = members(options.memo) if options.memo else {}
    facts = (run.id, run.run_id, str(run.pid), run.type, run.task_queue, RUNNING, run.start_time, began)
    state = (run.request_id, held, None if held else tx.steady, tx.now + delay if held else None)
    values = (*facts, *state, pack(run), pack(search) if search else None, pack(memo) if memo else None)
    if not (held or search or watcher or old or new.limits):
        tx.later(_CREATE, *values)
        for mail in new.mails:
            tx.later(_POST_FIRST, mail.run_id, mail.op, mail.ref, mail.body, run.run_id)
        tx.touched.topics |= TASKS
        return
    ((number,),) = tx.all(f"{_CREATE} RETURNING run", *values)
    tx.many(POST, [(number, mail.run_id, mail.op, mail.ref, mail.body) for mail in new.mails])
    if search:
        attributes.index(tx, number, search)
    if watcher is not None:
        watch(tx, number, watcher)
    if old is not None:
        tx.later("UPDATE watchers SET run = ? WHERE run = ?", number, old.run)
        tx.later("UPDATE requests SET run = ? WHERE run = ?", number, old.run)
        tx.later(_KEEP, number, old.run)
    if held:
        arm(tx, number, 0, WAKE, tx.steady + delay)
    else:
        tx.touched.topics |= TASKS
    for limit in new.limits:
        due = (began if limit.total else tx.steady) + min(limit.delay, LONGEST)
        arm(tx, number, 0, LIMIT_AGAIN if limit.again else LIMIT, due, Mail("", 0, limit.outcome))


def watch(tx: Transaction, run: int, watcher: Watcher) -> None:
    """Add a watcher of the end; one with ref 0 replaces the earlier one of the same pid."""
    if not watcher.ref:
        tx.later("DELETE FROM watchers WHERE run = ? AND pid = ? AND ref = 0", run, watcher.pid)
    tx.later(
        "INSERT INTO watchers (run, pid, ref, watcher) VALUES (?, ?, ?, ?)",
        run,
        watcher.pid,
        watcher.ref,
        pack(watcher),
    )


# --- end ----------------------------------------------------------------------------------------

_APPEND: Final = Change(
    "INSERT INTO records (run, number, op, ref, time, body) VALUES (?, ?, ?, ?, ?, ?)",
    *(int, int, str, int, int, bytes),
)


def append(tx: Transaction, found: Found, records: Iterable[Record]) -> None:
    for number, record in enumerate(records, found.length):
        tx.later(_APPEND, found.run, number, record.op, record.ref, record.time, record.body)


def end(
    tx: Transaction, found: Found, status: str, op: str, outcome: Json, then: NewRun | None = None
) -> None:
    """Close a run from outside, with a record that no program wrote."""
    close(tx, found, Close(status, outcome, then), [Record(op, 0, outcome, tx.now)])


_CLOSE: Final = Change(
    "UPDATE runs SET status = ?, close_time = ?, closed = ?, next_run_id = ?, length = length + ?, size = size + ?,"
    " fence = NULL, owner = NULL, ready = NULL, held = 0, failures = 0, hangs = 0, losses = 0, problem = NULL"
    " WHERE run = ?",
    *(str, int, int, str, int, int, int),
)
_FORGET: Final = [
    Change(f"DELETE FROM {table} WHERE run = ?", int) for table in ("deadlines", "activities", "inbox")
]
_FREE_NAMES: Final = Change("DELETE FROM names WHERE pid = ?", str)


def close(tx: Transaction, found: Found, close: Close, records: Sequence[Record]) -> None:
    """Close a run with its last records."""
    run, following = found.run, close.next
    if following is not None and not following.begins_in_time(tx.steady - found.began):
        following = None
    next_id = "" if following is None else following.run.run_id
    size = sum(record.size for record in records)
    append(tx, found, records)
    tx.later(_CLOSE, close.status, tx.now, tx.steady, next_id, len(records), size, run)
    tx.touched.changed(found.run_id, CLOSED)
    if found.has_children:
        _part(tx, found)
    if following is not None:
        create(tx, following, found)
    else:
        tx.later(_FREE_NAMES, found.pid)
        if found.has_watchers:
            _tell_watchers(tx, found, close.outcome)
    for change in _FORGET:
        tx.later(change, run)


def _tell_watchers(tx: Transaction, found: Found, outcome: Json) -> None:
    watchers = tx.all("SELECT watcher FROM watchers WHERE run = ? ORDER BY seq", found.run)
    for number, watcher in read_watchers((blob for (blob,) in watchers), found.id):
        tell(tx, found, EXIT, outcome, f"end:{number}", watcher)
    tx.later("DELETE FROM watchers WHERE run = ?", found.run)


def _part(tx: Transaction, found: Found) -> None:
    """End the children of a run by their parent close policies, including those that have not started yet."""
    children = tx.all("SELECT ref, id, policy FROM children WHERE run = ? ORDER BY ref", found.run)
    ((blob,),) = tx.all("SELECT facts FROM runs WHERE run = ?", found.run)
    facts = read_facts(blob, found.id, found.run_id, found.pid)
    sending.send_out(tx, [farewell(facts, Child._make(child)) for child in children])
    tx.later("DELETE FROM children WHERE run = ?", found.run)


def tell(tx: Transaction, found: Found, op: str, body: Json, key: str, to: Watcher | None = None) -> None:
    key, lane = f"{found.run_id}:{key}", "" if to is None else lane_of(found.id, to.pid)
    sending.send_out(tx, [Outgoing(found.id, found.run_id, found.pid, 0, op, body, key, to, lane)])
