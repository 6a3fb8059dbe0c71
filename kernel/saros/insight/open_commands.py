"""The open commands of a history: those that have not settled yet."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..interfaces.insight.pending import Pending, PendingChild, PendingRequest, PendingTimer
from ..model.execution import Pid, Record
from ..model.raw import ABSENT
from ..model.records import (
    ASK,
    CALL,
    DONE,
    EXIT,
    RESCIND,
    SEND,
    SPAWN,
    TIMER,
    Ask,
    Call,
    Exit,
    Rescind,
    Send,
    Spawn,
    StartTimer,
    unpack,
)

OPEN_OPS = frozenset({CALL, TIMER, SPAWN, SEND, ASK})


class _Done(msgspec.Struct):
    ok: msgspec.Raw = ABSENT
    err: msgspec.Raw = ABSENT


class OpenCommands:
    """Collects the commands that the records of a run leave open. Pages of records may come one by one, in order."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.commands: dict[int, Record] = {}
        self._children: dict[int, Record] = {}
        self._pids: dict[str, int] = {}  # of children that run -> the command that started each
        self.moved: int | None = None  # the time of the last record

    def hear(self, records: Iterable[Record]) -> None:
        for record in records:
            self.moved = record.time
            if record.op in OPEN_OPS:
                self.commands[record.ref] = record
                if record.op == SPAWN:
                    self._children[record.ref] = record
            elif record.op == DONE:
                self._done(record)
            elif record.op == EXIT:
                self._children.pop(self._pids.pop(unpack(record.body, Exit).sender, 0), None)
            elif record.op == RESCIND:
                self.commands.pop(unpack(record.body, Rescind).ref, None)

    def _done(self, record: Record) -> None:
        command = self.commands.pop(record.ref, None)
        if command is None or command.op != SPAWN:
            return
        outcome = unpack(record.body, _Done)
        pid = msgspec.json.decode(outcome.ok) if outcome.ok else None
        if not outcome.err and isinstance(pid, str) and not unpack(command.body, Spawn).exec:
            self._pids[pid] = record.ref
        else:
            self._children.pop(record.ref, None)

    def add_to(self, pending: Pending) -> None:
        """Add timers, children and requests to the `Pending` of a store."""
        pending.moved = self.moved
        pids = {ref: pid for pid, ref in self._pids.items()}
        for ref, record in self._children.items():
            spawn = unpack(record.body, Spawn)
            pid = Pid.parse(pids.get(ref, ""))
            id = pid.id if pid is not None else child_id(self._run_id, ref, spawn)
            pending.children.append(PendingChild(ref, id, spawn.entry))
        for ref, record in self.commands.items():
            if record.op == TIMER:
                due = record.time + unpack(record.body, StartTimer).ns
                pending.timers.append(PendingTimer(ref, record.time, due))
            elif record.op != CALL and not (record.op == SPAWN and unpack(record.body, Spawn).exec):
                pending.requests.append(self._request(record))

    def _request(self, record: Record) -> PendingRequest:
        if record.op == SPAWN:
            to, verb = unpack(record.body, Spawn).entry, "start"
        elif record.op == SEND:
            to, verb = unpack(record.body, Send).to, "signal"
        else:
            ask = unpack(record.body, Ask)
            to, verb = ask.to or ask.name, ask.verb
        return PendingRequest(record.ref, verb, to, record.time)


def child_id(parent_run_id: str, ref: int, spawn: Spawn) -> str:
    """Return the workflow id of a child: the given one, or one that is the same for a repeated delivery."""
    return spawn.options.id or spawn.name or f"{parent_run_id}/{ref}"


def waits_for(command: Record) -> str:
    """Describe what a coroutine that awaits a command waits for, such as ``activity app:charge``."""
    if command.op == CALL:
        return f"activity {unpack(command.body, Call).target}"
    if command.op == TIMER:
        return "a timer"
    if command.op == SPAWN:
        spawn = unpack(command.body, Spawn)
        return f"{'the end' if spawn.exec else 'the start'} of {spawn.entry}"
    if command.op == SEND:
        send = unpack(command.body, Send)
        return f"the delivery of {send.topic} to {send.to}"
    ask = unpack(command.body, Ask)
    return f"the answer to {ask.verb} {ask.to or ask.name}".rstrip()
