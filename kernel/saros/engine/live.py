"""A live execution: a run's program in memory, kept equal to the run's history."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import msgspec

from ..entries import Entry
from ..interfaces.deployment import Deployment
from ..interfaces.observer import about_run
from ..model.errors import INTERNAL, INVALID, CodeError, Error, NonDeterminism
from ..model.execution import Record, Run
from ..model.presentation import describe_command
from ..model.records import (
    ASK,
    ATTRS,
    CALL,
    CANCEL,
    CLOSING_OPS,
    CONTINUE,
    DONE,
    EVENT_OPS,
    RESCIND,
    SEND,
    SIDE_EFFECT,
    SPAWN,
    TELL,
    TIMER,
    VERSION,
    Attributes,
    Call,
    CancelRequest,
    Command,
    ContinueAsNew,
    Event,
    Rescind,
    Spawn,
    VersionMark,
    pack,
    unpack,
)
from ..model.search import admitted, refused_values, upserted
from ..model.values import Json, members, same_json

SETTLED_OPS = frozenset({CALL, TIMER, SPAWN, SEND, ASK})
"""Commands that a DONE event settles."""

CHUNK = 256
"""Events per crossing into the program during a replay."""


class Live:
    """One program and its driver's state. It is also the program's `Facts`."""

    def __init__(self, run: Run, deployment: Deployment, *, trace: bool = False) -> None:
        """:raises CodeError: when the entry is gone or its code cannot be loaded."""
        self.run, self.pid = run, str(run.pid)
        self.deployment = deployment
        self.version = deployment.version  # of its code
        self.entry = _workflow_entry(run, deployment)
        self.length = 0
        self.size = 0
        self.time = 0
        self.open: dict[int, Command] = {}  # commands that have not settled
        self.rescinded: dict[int, Command] = {}  # cancelled by the code, but not settled yet
        self.canceled: CancelRequest | None = None  # the first one received
        self.search = _search(run)
        self.closed = False
        self.in_use = False  # by a task that is not committed yet: must not be closed
        self.replaying = False
        self.name, self.about = f"{run.entry} {run.id}", about_run(run)  # in logs
        self._versions: dict[str, int] = {}
        self._side_effects: dict[int, Json] = {}
        self.program = deployment.program(self.entry, workflow=True, facts=self, trace=trace)

    # --- Facts ------------------------------------------------------------------------------

    settles_side_effects = False

    def history(self) -> tuple[int, int]:
        return self.length, self.size

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        known = self._versions.get(change_id)
        if known is not None:
            return known, self.replaying
        if self.replaying:
            return lowest, False  # history passed this point before the call existed
        self._versions[change_id] = highest
        return highest, True

    def recorded(self, ref: int) -> Json | None:
        return self._side_effects.get(ref)

    def log(self, level: str, message: str, fields: Json) -> None:
        if not self.replaying:
            self.deployment.log(level, message, fields, self.name, self.about)

    def heartbeat(self, details: Json) -> None:
        raise Error("a workflow has no heartbeat; only activities do", INVALID, retryable=False)

    def is_canceled(self) -> bool:
        return False

    def secret(self) -> str:
        raise Error("the start of this run has no secret; another version of Saros made it", INTERNAL)

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        return admitted(search, refused_values(search))

    # --- running ----------------------------------------------------------------------------

    def deliver(self, events: Sequence[Event]) -> list[Record]:
        """Deliver new events; return their records and those of the commands that they caused.

        If the program closes early, the remaining events are not recorded.

        :raises Error: when the workflow task failed.
        """
        outputs = self.program.advance(events)
        records: list[Record] = []
        for event, commands in zip(events, outputs, strict=False):
            records.append(event)
            self._hear(event)
            for command in commands:
                self._note(command)
            records += commands
        self._count(records)
        return records

    def replay(self, records: Sequence[Record]) -> Generator[None, None, None]:
        """Advance the program, in parts, from its present length to the end of `records`, which follow it.

        :raises NonDeterminism: when the program's commands differ from the recorded ones.
        :raises Error: when the workflow task failed for another reason.
        """
        for record in records:
            if record.op == VERSION:
                mark = unpack(record.body, VersionMark)
                self._versions[mark.id] = mark.version
            elif record.op == SIDE_EFFECT:
                self._side_effects[record.ref] = record.body
        self.replaying = True
        try:
            position = 0
            while position < len(records):
                position = self._replay_chunk(records, position)
                yield
        finally:
            self.replaying = False
        self._side_effects.clear()
        self.rescinded.clear()

    def _replay_chunk(self, records: Sequence[Record], start: int) -> int:
        events: list[Event] = []
        position = start
        while position < len(records) and len(events) < CHUNK:
            record = records[position]
            if record.op in EVENT_OPS:
                events.append(record)
            position += 1
        while position < len(records) and records[position].op not in EVENT_OPS:
            position += 1
        outputs = self.program.advance(events) if events else []
        self._compare(records[start:position], outputs)
        self._count(records[start:position])
        return position

    def _compare(self, records: Sequence[Record], outputs: Sequence[Sequence[Command]]) -> None:
        number = self.length
        actual: Sequence[Command] = ()
        index = at = 0
        for record in records:
            number += 1
            if record.op in EVENT_OPS:
                if at < len(actual):
                    raise self._mismatch(number, None, actual[at])
                if index >= len(outputs):
                    raise self._mismatch(number, record, None)
                actual, at, index = outputs[index], 0, index + 1
                self._hear(record)
                continue
            if record.op not in KNOWN_OPS:
                continue  # the run was ended from outside
            command = actual[at] if at < len(actual) else None
            if command is None or not _same(record, command):
                raise self._mismatch(number, record, command)
            at += 1
            self._note(command)
        if at < len(actual):
            raise self._mismatch(number + 1, None, actual[at])

    def _hear(self, event: Event) -> None:
        if event.op == DONE:
            self.open.pop(event.ref, None)
        elif event.op == CANCEL and self.canceled is None:
            self.canceled = unpack(event.body, CancelRequest)

    def _note(self, command: Command) -> None:
        op, ref = command.op, command.ref
        if op in SETTLED_OPS:
            self.open[ref] = command
        elif op == RESCIND:
            target = unpack(command.body, Rescind).ref
            waiting = self.open.get(target)
            if waiting is not None:
                self.rescinded[target] = waiting
                if not waits_for_cancellation(waiting):
                    del self.open[target]
        elif op == ATTRS:
            upserts = unpack(command.body, Attributes).search
            self.search = upserted(self.search, upserts) if upserts else self.search
        elif op in CLOSING_OPS:
            self.closed = True

    def _count(self, records: Sequence[Record]) -> None:
        self.length += len(records)
        for record in records:
            self.size += len(record.body) + 32
        if records:
            self.time = max(self.time, records[-1].time)

    def _mismatch(self, number: int, expected: Command | None, actual: Command | None) -> NonDeterminism:
        wanted = describe_command(expected) if expected else "nothing more at this point"
        got = describe_command(actual) if actual else "nothing"
        if expected and actual and wanted == got:  # the difference is in a part that descriptions leave out
            wanted, got = (f"{wanted} with {_excerpt(command.body)}" for command in (expected, actual))
        return NonDeterminism(
            f"the code of {self.run.type} no longer matches the history of {self.run.id}: "
            f"event {number} is {wanted}, but the code asks for {got}",
            event=number,
            expected=wanted,
            actual=got,
            where=self.program.where(actual.ref) if actual else self.entry.where(),
        )

    def close(self) -> None:
        self.program.close()


KNOWN_OPS = SETTLED_OPS | CLOSING_OPS | {RESCIND, TELL, VERSION, SIDE_EFFECT, ATTRS, "answer"}


def waits_for_cancellation(command: Command) -> bool:
    """True if a rescinded activity stays open until it has ended itself."""
    if command.op == CALL:
        return unpack(command.body, Call).options.wait_for_cancellation
    return command.op == SPAWN and unpack(command.body, Spawn).options.wait_for_cancellation


def _search(run: Run) -> dict[str, msgspec.Raw]:
    given = run.options.search_attributes
    return members(given) if given else {}


def _excerpt(body: Json) -> str:
    text = bytes(body).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _same(record: Record, command: Command) -> bool:
    if record.ref != command.ref or record.op != command.op:
        return False
    if record.body == command.body or same_json(record.body, command.body):
        return True
    return record.op == CONTINUE and _same_continuation(record, command)


def _same_continuation(record: Record, command: Command) -> bool:
    """Compare without cancellations, for runs that ended before those went with continuations."""
    old, new = (unpack(each.body, ContinueAsNew) for each in (record, command))
    return not old.cancels and same_json(pack(old), pack(msgspec.structs.replace(new, cancels=())))


def _workflow_entry(run: Run, deployment: Deployment) -> Entry:
    try:
        return deployment.registry.workflow(run.entry)
    except Error as error:
        raise CodeError(f"cannot run {run.id}: {error.message}", where=error.where) from None
