"""The encoding of data in Redis: items of lists, arguments of scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from saros.insight.presence import identity
from saros.interfaces.activities import ActivityTask, Settled
from saros.interfaces.history import NewRun
from saros.interfaces.insight.pending import failure_of
from saros.interfaces.signals import Mail, Outgoing
from saros.interfaces.store import Commit
from saros.interfaces.timers import TO_RUN, Deadline
from saros.model.clock import LONGEST
from saros.model.errors import Error
from saros.model.execution import Description, Record, Run, StartRequest, Watcher, check_id
from saros.model.records import DONE, MESSAGE, pack
from saros.model.search import parse_time
from saros.model.values import members, readable

from .limits import bytes_of

pack_args = msgspec.msgpack.Encoder().encode
_run = msgspec.json.Decoder(Run).decode
_task = msgspec.json.Decoder(ActivityTask).decode
_watcher = msgspec.json.Decoder(Watcher).decode
BROKEN: Final = (msgspec.MsgspecError, ValueError, LookupError)
"""The exceptions that the readers here raise for data that this version did not write."""
TERM_MAX = 256
"""Longer values are not indexed."""


def text(data: bytes) -> str:
    """Return arbitrary bytes as text, for a message."""
    return data.decode(errors="backslashreplace")


def micros(ns: int) -> int:
    """Round up, so that nothing fires too early."""
    return -(-ns // 1_000)


# --- items ------------------------------------------------------------------------------------


def record_item(record: Record) -> str:
    return f"{record.op}\n{record.ref}\n{record.time}\n{record.body.decode()}"


def read_record(item: bytes) -> Record:
    op, ref, time, body = item.split(b"\n", 3)
    return Record(op.decode(), int(ref), body, int(time))


def mail_item(mail: Mail) -> str:
    return f"{mail.run_id}\n{mail.op}\n{mail.ref}\n{mail.body.decode()}"


def read_mail(item: bytes) -> Mail:
    run_id, op, ref, body = item.split(b"\n", 3)
    return Mail(op.decode(), int(ref), body, run_id.decode())


def message_items(request: StartRequest) -> list[str]:
    return [mail_item(Mail(MESSAGE, 0, pack(message))) for message in request.messages]


def read_run(blob: bytes) -> Run:
    """:raises ValueError: when the data is malformed, or no API could have started such a run."""
    run = _run(blob)
    try:
        check_id(run.id)
    except Error as error:
        raise ValueError(error.message) from error
    return run


def read_activity(blob: bytes, attempt: int, heartbeat: bytes) -> ActivityTask:
    task = _task(blob)
    task.attempt = attempt
    if heartbeat:
        task.heartbeat = msgspec.Raw(heartbeat)
    return task


# --- arguments --------------------------------------------------------------------------------


def new_run(new: NewRun) -> list[Any]:
    """The argument `new` of the scripts' create()."""
    run, options = new.run, new.run.options
    search = members(options.search_attributes) if options.search_attributes else {}
    memo = members(options.memo) if options.memo else {}
    alarms = [
        [micros(min(limit.delay, LONGEST)), limit.outcome.decode(), limit.again, limit.total]
        for limit in new.limits
    ]
    return [
        run.run_id,
        run.id,
        pack(run).decode(),
        str(run.pid),
        run.task_queue,
        run.type,
        run.start_time // 1_000,
        micros(min(new.delay, LONGEST)),
        [mail_item(mail) for mail in new.mails],
        attributes(search),
        [[name, bytes(raw).decode()] for name, raw in memo.items()],
        alarms,
    ]


def attributes(search: dict[str, msgspec.Raw]) -> list[list[str]]:
    return [[name, bytes(raw).decode(), _terms(raw)] for name, raw in search.items()]


def _terms(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    values = value if isinstance(value, list) else [value]
    terms = [pack(item).decode() for item in values if isinstance(item, str)]
    return "\n".join(term for term in terms if len(term) <= TERM_MAX)


def term_of(value: Any) -> str | None:
    """Return the index term for ``attribute = value``; None if the index cannot answer the condition."""
    if not isinstance(value, str) or parse_time(value) is not None:
        return None  # numbers compare by value, times by instant
    term: str = pack(value).decode()
    return term if len(term) <= TERM_MAX else None


def watcher_field(watcher: Watcher) -> str:
    return f"{watcher.pid}\n{watcher.run_id}\n{watcher.ref}" if watcher.ref else watcher.pid


def outgoing(entry: Outgoing) -> list[Any]:
    watcher = pack(entry.to).decode() if entry.to else ""
    return [
        entry.id,
        entry.run_id,
        entry.pid,
        entry.ref,
        entry.op,
        entry.body.decode(),
        entry.key,
        watcher,
        entry.lane,
    ]


def read_outgoing(fields: Sequence[bytes]) -> Outgoing:
    found = {fields[at]: fields[at + 1] for at in range(0, len(fields), 2)}
    return Outgoing(
        found[b"i"].decode(),
        found[b"r"].decode(),
        found[b"p"].decode(),
        int(found[b"f"]),
        found[b"o"].decode(),
        found[b"b"],
        found[b"k"].decode(),
        _watcher(found[b"t"]) if found[b"t"] else None,
        found[b"l"].decode(),
    )


_CANCELED = pack({"err": {"message": "canceled", "kind": "Canceled", "retryable": False}})


def commit(commit: Commit, consumer: str) -> list[Any]:
    """Return the arguments of the script "commit"; numbers in names are strings, because Lua formats slowly."""
    run_id = commit.run.run_id
    close: list[Any] | None = None
    if commit.close is not None:
        close = [commit.close.status, commit.close.outcome.decode()]
        if commit.close.next is not None:
            close.append(new_run(commit.close.next))
    return [
        run_id,
        commit.run.id,
        commit.fence,
        commit.expected,
        commit.consumed,
        [record_item(record) for record in commit.records],
        bytes_of(commit),
        [[str(task.ref), task.task_queue, pack(task).decode()] for task in commit.activities],
        [str(ref) for ref in commit.canceled],
        [[str(ref), mail_item(Mail(DONE, ref, _CANCELED, run_id))] for ref in commit.asked],
        [
            [
                deadline.guard,
                str(deadline.ref),
                micros(deadline.delay),
                _deadline_item(deadline.guard, deadline.mail),
            ]
            for deadline in sorted(commit.deadlines, key=_delay)
        ],
        [str(ref) for ref in commit.cleared],
        [outgoing(entry) for entry in commit.outbox],
        attributes(commit.search) if commit.search else [],
        [[name, bytes(raw).decode()] for name, raw in commit.memo.items()],
        close,
        consumer,
        [[str(child.ref), f"{child.policy} {child.id}"] for child in commit.children],
        [str(ref) for ref in commit.ended],
        [
            [str(lease.task.ref), lease.task.task_queue, pack(lease.task).decode(), lease.token]
            for lease in commit.leased
        ],
        identity(),
    ]


def _delay(deadline: Deadline) -> int:
    return deadline.delay


def _deadline_item(guard: str, mail: Mail) -> str:
    return mail.body.decode() if guard == TO_RUN else mail_item(mail)


def settled(result: Settled) -> list[Any]:
    """Return the arguments of the script "settle"."""
    task = result.lease.task
    item = mail_item(Mail(DONE, task.ref, result.outcome, task.run_id))
    delay = -1 if result.retry_in is None else micros(min(result.retry_in, LONGEST))
    failure = failure_of(result.outcome) if delay >= 0 else None
    told = pack(failure).decode() if failure is not None else ""
    return [task.run_id, str(task.ref), result.lease.token, item, delay, told]


# --- descriptions -----------------------------------------------------------------------------


def description(fields: Sequence[bytes], length: int) -> Description:
    """Read a run's description from its hash ``m``."""
    found = {fields[at].decode(): fields[at + 1] for at in range(0, len(fields), 2)}
    run = _facts(found)
    closed, problem = found.get("closed"), found.get("problem")
    return Description(
        run.id,
        run.run_id,
        str(run.pid),
        run.type,
        run.entry,
        found["status"].decode(),
        run.task_queue,
        run.start_time,
        int(closed) * 1_000 if closed else None,
        length,
        int(found.get("size", 0)),
        run.attempt,
        run.parent.pid if run.parent else None,
        {name[5:]: readable(raw) for name, raw in found.items() if name.startswith("attr:")},
        {name[5:]: readable(raw) for name, raw in found.items() if name.startswith("memo:")},
        problem.decode() if problem else None,
    )


def _facts(found: dict[str, bytes]) -> Run:
    """Read a run's facts; if they cannot be read and the run was set aside, return what else is known."""
    try:
        return _run(found["run"])
    except msgspec.MsgspecError:
        id, pid, name, queue = (found[field].decode() for field in ("id", "pid", "type", "queue"))
        return Run(id, "", "", name, pid.partition("|")[0], queue, int(found["start"]) * 1_000)
