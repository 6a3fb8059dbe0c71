"""One workflow execution in memory: its program, and what the ports share.

The program hears of one job of an activation at a time. Activations are no unit of history: what came in two
of them when the workflow ran (local activities) may come in one when it is replayed.
"""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

import msgspec
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    SignalWorkflow,
    WorkflowActivation,
)
from temporalio.worker import WorkflowInstanceDetails

from saros.interfaces.program import Ports, Program, dispatch
from saros.model.errors import INTERNAL, INVALID, NOT_FOUND, Error, ErrorData
from saros.model.execution import Pid
from saros.model.records import (
    CANCEL,
    DONE,
    MESSAGE,
    QUERY,
    UPDATE,
    Answer,
    Attributes,
    CancelRequest,
    ContinueAsNew,
    Event,
    HandlerCall,
    Inspection,
    Message,
    Outcome,
    VersionMark,
    pack,
    unpack,
)
from saros.model.values import Json, error_data

from .calls import NS, Calls, Timers
from .children import Children
from .closing import Ending, close
from .facts import WorkflowFacts
from .payloads import MAX_PAYLOAD, memo_name, put_json, too_large
from .reasons import read_reason
from .signals import event_of
from .starting import first_events
from .updates import Updates

if TYPE_CHECKING:
    from .commands import Sink
    from .environment import Environment

MAX_TASK = 3_000_000
"""Bytes of payloads per workflow task; gRPC takes 4 MiB."""


class Execution:
    """:attr add: appends an empty command to the completion of the present activation."""

    def __init__(self, env: Environment, det: WorkflowInstanceDetails) -> None:
        self.env = env
        self.info = det.info
        self.no_eager_calls = det.disable_eager_activity_execution
        self.seed = det.randomness_seed
        self.random = random.Random(self.seed)
        self.pid = str(Pid(env.place, det.info.workflow_id))
        self.task = 0  # number of the present workflow task, as far as this worker knows
        self.starter: Json = b""  # the JSON of the pid of whoever started this
        self.now = 0  # ns since 1970, as the present activation sees it
        self.ending: Ending | None = None  # what the closing command says, once it is there
        self.canceled = False
        self.facts = WorkflowFacts(self)
        self.calls = Calls(self)
        self.timers = Timers(self)
        self.children = Children(self)
        self.updates = Updates(self)
        self._ports = Ports(self, self.timers, self.children, self.calls)
        self._program: Program | None = None
        self._started = False
        self._running = False
        self._closed = False
        self._queue: list[Event] = []
        self._task_bytes = 0
        self._answer: Answer | None = None  # to the query that the program hears just now

    def begin(self, act: WorkflowActivation, sink: Sink) -> None:
        """Take what an activation tells, and give commands to `sink` from here on."""
        self.add = sink.add
        time = act.timestamp
        self.now = time.seconds * NS + time.nanos
        if self.facts.begin(act.is_replaying, act.history_length, act.history_size_bytes):
            self.task += 1
            self._task_bytes = 0

    def uuid(self) -> str:
        """A version 4 UUID, the same in every replay."""
        return str(uuid.UUID(bytes=self.random.getrandbits(128).to_bytes(16, "big"), version=4))

    def drop(self) -> None:
        """Free the program; none of its code runs."""
        program, self._program = self._program, None
        if program is not None:
            program.close()

    def __del__(self) -> None:
        self.drop()

    # --- events -------------------------------------------------------------------------------

    def start(self, job: InitializeWorkflow) -> None:
        """:raises CodeError: when the app has no such workflow, or its code cannot be loaded."""
        entry = self.env.workflow(self.info.workflow_type)
        self._started = True
        self.facts.name = f"{entry.id} {self.info.workflow_id}"
        try:
            events = first_events(job, self, entry)
        except Error as error:  # a starter in another language gave what is no data
            self.ending = error_data(error)
            return
        self._program = self.env.program(entry, self.facts)
        self._queue[:0] = events
        self._pump()

    def signal(self, job: SignalWorkflow) -> None:
        self.calls.news()
        event = event_of(job, self.info)
        if event is not None:
            self.post(*event)

    def cancel(self, reason: str) -> None:
        if not self.canceled:
            self.canceled = True
            self.calls.news()
            sender, text = read_reason(reason)
            self.post(CANCEL, 0, pack(CancelRequest(sender, text)))

    def post(self, op: str, ref: int, body: Json) -> None:
        """Deliver an event, as soon as the program can hear it."""
        self._queue.append(Event(op, ref, body, self.now))
        if self._started and not self._running:
            self._pump()

    def settle(self, ref: int, outcome: Json) -> None:
        """Deliver the outcome of a command."""
        self.post(DONE, ref, outcome)

    def refuse(self, ref: int, error: Error | ErrorData) -> None:
        """Settle a command with an error."""
        data = error_data(error) if isinstance(error, Error) else error
        self.settle(ref, pack(Outcome(err=data)))

    def _pump(self) -> None:
        if self.ending is not None:
            return
        program, facts, ports = self._program, self.facts, self._ports
        if program is None:
            raise Error("the program failed while it answered a query; a replay makes it anew", INTERNAL)
        self._running = True
        try:
            while self._queue and self.ending is None:
                events, self._queue = self._queue, []
                outputs = program.advance(events)
                self._queue[:0] = events[len(outputs) :]  # those that a closed program did not hear
                for event, commands in zip(events, outputs, strict=False):
                    facts.count(event.body)
                    for command in commands:
                        facts.count(command.body)
                        dispatch(command, ports)
        finally:
            self._running = False

    def fits(self, ref: int, size: int) -> bool:
        """Whether Temporal takes a command's payloads; if not, the command is settled with an error."""
        text = ""
        used = self._task_bytes + size
        if size > MAX_PAYLOAD:
            text = too_large(size)
        elif used > MAX_TASK:
            text = (
                f"{used} bytes of arguments between two waits are too many for Temporal, whose limit is "
                f"{MAX_TASK} bytes here; wait for some of the calls before making more"
            )
        else:
            self._task_bytes = used
        if text:
            self.refuse(ref, ErrorData(text, INVALID, False))
        return not text

    # --- queries --------------------------------------------------------------------------------

    def query(self, name: str, args: Json) -> Answer:
        """Ask the program.

        :raises Error: when the program fails over it; it is dropped, for it is of no further use.
        """
        if self._program is None:
            text = "the workflow has ended, and its program is gone; ask again"
            return Answer("query", err=ErrorData(text, NOT_FOUND, False))
        body = pack(HandlerCall("query", name, msgspec.Raw(args)))
        try:
            outputs = self._program.advance([Event(QUERY, 0, body, self.now)])
        except Error:
            self.drop()
            raise
        for commands in outputs:
            for command in commands:
                dispatch(command, self._ports)
        answer, self._answer = self._answer, None
        return answer or Answer("query")

    def inspect(self) -> Inspection:
        """What the program offers, and where it waits."""
        return Inspection() if self._program is None else self._program.inspect()

    # --- the history port -----------------------------------------------------------------------

    def answer(self, answer: Answer) -> None:
        if not self.updates.answer(answer):
            self._answer = answer

    def attributes(self, upserts: Attributes) -> None:
        if upserts.search:
            fields = self.add().upsert_workflow_search_attributes.search_attributes.indexed_fields
            for name, payload in self.env.search.upserts(upserts.search).items():
                fields[name].CopyFrom(payload)
        self.upsert_memo({memo_name(name): item for name, item in upserts.memo.items()})

    def upsert_memo(self, memo: dict[str, msgspec.Raw]) -> None:
        """Change the memo, by the names that Temporal keeps; a null removes the key."""
        if memo:
            fields = self.add().modify_workflow_properties.upserted_memo.fields
            for name, item in memo.items():
                put_json(fields[name], item)
                if fields[name].data == b"[]":  # the server takes exactly this for a removal, too
                    fields[name].data = b"[ ]"

    def version(self, mark: VersionMark) -> None:
        pass  # the patch marker is the record

    def side_effect(self, ref: int, value: Json) -> None:
        self.children.record(ref, value)

    def continue_as_new(self, request: ContinueAsNew) -> None:
        self.ending = request

    def complete(self, result: Json) -> None:
        self.ending = result
        if len(result) > MAX_PAYLOAD:
            self.ending = ErrorData(too_large(len(result)), INVALID, False)

    def fail(self, error: ErrorData) -> None:
        self.ending = error

    # --- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the closing command, if there is one."""
        if self.ending is None or self._closed or not self.calls.settled() or not self.children.settled():
            return
        self._closed = True
        continues = isinstance(self.ending, ContinueAsNew)
        late_updates = (
            unpack(event.body, HandlerCall) for event in self._queue if event.op == UPDATE and continues
        )
        self.updates.end({call.id for call in late_updates})
        late = [msgspec.json.decode(event.body, type=Message) for event in self._queue if event.op == MESSAGE]
        close(self, self.ending, late)
        if not self.facts.replaying:
            self.drop()  # a replay to the end is for a query, which is still to come
