"""The Temporal driver: runs one program inside a workflow, and is its `Facts` and its history port.

Completions and signals become events at once, in the order in which the SDK tells of them; that order is
the history's, so a replay hears the same. No event is ever delivered while the workflow is being evicted:
then the program is dropped, and none of its code runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from saros.errors import CANCELED, INVALID, NOT_FOUND, UNAVAILABLE, Error, ErrorData
from saros.execution import Pid
from saros.ports import Ports, dispatch
from saros.program import (
    CANCEL,
    CONTINUE,
    DONE,
    MESSAGE,
    QUERY,
    UPDATE,
    Answer,
    Attributes,
    CancelRequest,
    ContinueAsNew,
    Event,
    Inquiry,
    Message,
    Outcome,
    Program,
    VersionMark,
    pack,
    unpack,
)
from saros.values import Json, error_data

from .calls import Calls, Timers
from .children import Children
from .continuing import continue_as_new
from .facts import WorkflowFacts
from .failures import to_failure
from .payloads import CANCELED_MEMO, MAX_PAYLOAD, json_array_of, to_payload, too_large
from .reasons import read_reason
from .starting import first_events

if TYPE_CHECKING:
    from .environment import Environment

MAX_TASK = 3_000_000
"""Bytes of payloads per workflow task; gRPC takes 4 MiB."""


class Driver:
    """One workflow execution in memory."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.pid = ""
        self.closing: str | None = None  # the closing command, once it is there
        self.facts = WorkflowFacts(env)
        self._program: Program | None = None
        self._queue: list[Event] = []
        self._running = False
        self._broken: Exception | None = None
        self._wake: asyncio.Future[None] | None = None
        self._result: Json = b"null"
        self._error: ErrorData | None = None
        self._continue: ContinueAsNew | None = None
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._asked: Answer | None = None
        self._task_bytes = (0, 0)
        self._canceled = False
        self.calls = Calls(self)
        self.timers = Timers(self)
        self.children = Children(self)
        self._ports = Ports(self, self.timers, self.children, self.calls)

    # --- the run ------------------------------------------------------------------------------

    async def run(self, args: Sequence[RawValue], headers: Mapping[str, Payload]) -> RawValue:
        """Run to the end.

        :raises ApplicationError: when the program fails; it fails the workflow.
        :raises Error: when the workflow task fails, and the workflow waits.
        """
        try:
            self._begin(args, headers)
            while self.closing is None and self._broken is None:
                await self._sleep()
        except Error:
            self.env.refresh()
            self.drop()
            raise
        except BaseException:  # an eviction
            self.drop()
            raise
        if self._broken is not None or not self.facts.replaying:
            self.drop()  # a replay to the end is for a query, which is still to come
        if self._broken is not None:
            self.env.refresh()
            raise self._broken
        return await self._end()

    def _begin(self, args: Sequence[RawValue], headers: Mapping[str, Payload]) -> None:
        info = workflow.info()
        entry = self.env.workflow(info.workflow_type)
        self.facts.name = f"{entry.id} {info.workflow_id}"
        self.pid = str(Pid(self.env.place, info.workflow_id))
        try:
            events = first_events(self.pid, entry, args, headers)
        except Error as error:  # a starter in another language gave what is no data
            raise to_failure(error_data(error)) from error
        self._program = self.env.program(entry, self.facts)
        self._queue[:0] = events
        self._pump()

    async def _sleep(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        except asyncio.CancelledError:
            reason = workflow.cancellation_reason()
            if reason is None or self._canceled:  # an eviction
                raise
            self._canceled = True
            sender, text = read_reason(reason)
            self.post(CANCEL, 0, pack(CancelRequest(sender, text)))
        finally:
            self._wake = None

    async def _end(self) -> RawValue:
        for id, answer in list(self._answers.items()):
            if not answer.done():
                error = ErrorData("the workflow ended before it answered the update", UNAVAILABLE)
                answer.set_result(Answer(id, err=error))
        for _ in range(3):  # lets handlers that are under way have their say
            await asyncio.sleep(0)
        if self._continue is not None:
            late = [unpack(event.body, Message) for event in self._queue if event.op == MESSAGE]
            continue_as_new(self.env.deployment, self._continue, late)
        if self._error is not None:
            if self._error.kind == CANCELED and self._canceled:
                workflow.upsert_memo({CANCELED_MEMO: RawValue(to_payload(pack(self._error)))})
                raise asyncio.CancelledError(self._error.message)
            raise to_failure(self._error)
        return RawValue(to_payload(self._result))

    def drop(self) -> None:
        """Free the program; none of its code runs."""
        program, self._program = self._program, None
        if program is not None:
            program.close()

    def __del__(self) -> None:
        self.drop()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- events -------------------------------------------------------------------------------

    def post(self, op: str, ref: int, body: Json) -> None:
        """Deliver an event, as soon as the program can hear it."""
        self._queue.append(Event(op, ref, body, 0))
        if self._program is not None and not self._running:
            self._pump()

    def settle(self, ref: int, outcome: Json) -> None:
        """Deliver the outcome of a command."""
        self.post(DONE, ref, outcome)

    def refuse(self, ref: int, error: Error | ErrorData) -> None:
        """Settle a command with an error."""
        data = error_data(error) if isinstance(error, Error) else error
        self.settle(ref, pack(Outcome(err=data)))

    def fail_task(self, error: Exception) -> None:
        """Fail the workflow task, not the workflow."""
        if self._broken is None:
            self._broken = error
        self._wake_up()

    def _pump(self) -> None:
        program = self._program
        if program is None:
            return
        self._running = True
        try:
            while self._queue and self.closing is None and self._broken is None:
                now = workflow.time_ns()
                events = [Event(event.op, event.ref, event.body, now) for event in self._queue]
                self._queue.clear()
                outputs = program.advance(events)
                self._queue[:0] = events[len(outputs) :]  # those that a closed program did not hear
                for event, commands in zip(events, outputs, strict=False):
                    self.facts.count(event.body)
                    for command in commands:
                        self.facts.count(command.body)
                        dispatch(command, self._ports)
        except Exception as error:  # of the code or of ours: the workflow waits until it is repaired
            self.fail_task(error)
        finally:
            self._running = False
        if self.closing is not None:
            self._wake_up()

    def fits(self, ref: int, size: int) -> bool:
        """Whether Temporal takes a command's payloads; if not, the command is settled with an error."""
        reported = workflow.info().get_current_history_length()
        known, used = self._task_bytes
        used = used + size if known == reported else size
        if size > MAX_PAYLOAD:
            self.refuse(ref, ErrorData(too_large(size), INVALID, False))
            return False
        if used > MAX_TASK:
            text = (
                f"{used} bytes of arguments between two waits are too many for Temporal, whose limit is "
                f"{MAX_TASK} bytes here; wait for some of the calls before making more"
            )
            self.refuse(ref, ErrorData(text, INVALID, False))
            return False
        self._task_bytes = (reported, used)
        return True

    # --- queries and updates --------------------------------------------------------------------

    def query(self, name: str, args: Sequence[RawValue], *, as_outcome: bool) -> RawValue:
        """Ask the program; what its handler refuses is raised, or told in an `Outcome`."""
        answer = self._ask(name, args)
        if as_outcome:
            return RawValue(to_payload(pack(Outcome(answer.ok, answer.err))))
        return _answered(answer)

    def _ask(self, name: str, args: Sequence[RawValue]) -> Answer:
        if self._program is None:
            text = "the workflow has ended, and its program is gone; ask again"
            return Answer("query", err=ErrorData(text, NOT_FOUND, False))
        body = pack(Inquiry("query", name, json_array_of(args)))
        for commands in self._program.advance([Event(QUERY, 0, body, workflow.time_ns())]):
            for command in commands:
                dispatch(command, self._ports)
        answer, self._asked = self._asked, None
        return answer or Answer("query")

    async def update(self, id: str, name: str, args: Sequence[RawValue]) -> RawValue:
        """Have the program carry out an update; what its handler refuses is raised."""
        if self.closing is not None:
            error = ErrorData("the workflow has ended; only running executions are updated", NOT_FOUND, False)
            raise to_failure(error)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[id] = answer
        self.post(UPDATE, 0, pack(Inquiry(id, name, json_array_of(args))))
        return _answered(await answer)

    # --- the history port -----------------------------------------------------------------------

    def answer(self, answer: Answer) -> None:
        waiting = self._answers.pop(answer.id, None)
        if waiting is None:
            self._asked = answer
        elif not waiting.done():
            waiting.set_result(answer)

    def attributes(self, upserts: Attributes) -> None:
        if upserts.search:
            self.env.search.upsert(upserts.search)
        if upserts.memo:
            memo = {key: RawValue(to_payload(item)) for key, item in upserts.memo.items() if item != b"null"}
            gone = {key: None for key, item in upserts.memo.items() if item == b"null"}
            workflow.upsert_memo({**memo, **gone})

    def version(self, mark: VersionMark) -> None:
        pass  # the SDK's patch marker is the record

    def side_effect(self, ref: int, value: Json) -> None:
        self.children.record(ref, value)

    def continue_as_new(self, request: ContinueAsNew) -> None:
        self.closing = CONTINUE
        self._continue = request

    def complete(self, result: Json) -> None:
        self.closing = "complete"
        if len(result) > MAX_PAYLOAD:
            self._error = ErrorData(too_large(len(result)), INVALID, False)
        self._result = result

    def fail(self, error: ErrorData) -> None:
        self.closing = "fail"
        self._error = error


def _answered(answer: Answer) -> RawValue:
    if answer.err is not None:
        raise to_failure(answer.err)
    return RawValue(to_payload(answer.ok or b"null"))
