"""Updates and queries.

Each update is accepted, and completed or rejected when the program has answered; a query is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import DoUpdate, QueryWorkflow
from temporalio.bridge.proto.workflow_commands import QueryResult, UpdateResponse, WorkflowCommand
from temporalio.workflow import Info

from saros.interfaces.insight import Coroutine, Stack
from saros.interfaces.program import Inspection
from saros.model.errors import INVALID, NOT_FOUND, UNAVAILABLE, Error, ErrorData
from saros.model.records import UPDATE, Answer, ContinueAsNew, HandlerCall, Outcome, pack
from saros.model.values import Json, error_data

from ..wire.failures import NEXT_RUN, failure, succeeded
from ..wire.operations import STACK_QUERY
from ..wire.payloads import ANSWER, json_array, put_json, to_payload
from .activity_port import ActivityPort
from .children import Children
from .signal_port import SignalPort
from .timer_port import TimerPort
from .workflow_state import Ending

# --- updates --------------------------------------------------------------------------------------


class UpdateState(Protocol):
    """The part of the workflow that updates use; see `WorkflowState`."""

    ending: Ending | None

    def add(self) -> WorkflowCommand: ...

    def post(self, op: str, ref: int, body: Json) -> None: ...

    def news(self) -> None: ...


class Updates:
    """The pending updates of one workflow."""

    def __init__(self, state: UpdateState) -> None:
        self._state = state
        self._open: dict[str, str] = {}  # id -> its protocol instance
        self._hearing = ""  # the one that the program is carrying out
        self._answer: Answer | None = None  # to that one

    def begin(self, job: DoUpdate) -> None:
        """Let the program carry out an update.

        It is accepted if its arguments are data. A refusal of the program's validator is recorded as its
        answer: the validator is the program's code, and a replay has to run it at the same place.
        """
        state, instance = self._state, job.protocol_instance_id
        state.news()
        try:
            body = pack(HandlerCall(job.id, job.name, json_array(job.input)))
        except Error as error:
            self._reject(instance, error_data(error))
            return
        self._response(instance).accepted.SetInParent()
        if isinstance(state.ending, ContinueAsNew):  # the client sends it to the next run
            self._reject(instance, NEXT_RUN)
            return
        if state.ending is not None:
            text = "the workflow has ended; only running executions are updated"
            self._reject(instance, ErrorData(text, NOT_FOUND, False))
            return
        self._open[job.id] = instance
        self._hearing = job.id
        state.post(UPDATE, 0, body)
        self._hearing = ""
        answer, self._answer = self._answer, None
        if answer is not None:
            self._complete(instance, answer)

    def answer(self, answer: Answer) -> bool:
        """Accept the program's answer; return False when it does not answer an update."""
        instance = self._open.pop(answer.id, None)
        if instance is None:
            return False
        if answer.id == self._hearing:
            self._answer = answer
        else:
            self._complete(instance, answer)
        return True

    def end(self, unheard: set[str]) -> None:
        """Reject the updates that are pending when the workflow ends.

        :param unheard: ids of updates that the program has not received; the next run may carry them out.
        """
        for id, instance in self._open.items():
            error = ErrorData("the workflow ended before it answered the update", UNAVAILABLE)
            self._reject(instance, NEXT_RUN if id in unheard else error)

    def _complete(self, instance: str, answer: Answer) -> None:
        if answer.err is not None:
            self._reject(instance, answer.err)
        else:
            put_json(self._response(instance).completed, answer.ok or b"null")

    def _reject(self, instance: str, error: ErrorData) -> None:
        self._response(instance).rejected.CopyFrom(failure(error))

    def _response(self, instance: str) -> UpdateResponse:
        response = self._state.add().update_response
        response.protocol_instance_id = instance
        return response


# --- queries --------------------------------------------------------------------------------------


class Queried(Protocol):
    """The part of the workflow that queries use."""

    info: Info
    activities: ActivityPort
    timers: TimerPort
    children: Children
    signals: SignalPort

    def query(self, name: str, args: Json) -> Answer: ...

    def inspect(self) -> Inspection: ...


def answer_query(workflow: Queried, job: QueryWorkflow, response: QueryResult) -> None:
    """Answer a query. Saros's own clients expect an `Outcome`, because a failed query carries only a text."""
    response.query_id = job.query_id
    built_in = BUILT_IN.get(job.query_type)
    try:
        if built_in is not None:
            found, error = built_in(workflow), None
        else:
            answer = workflow.query(job.query_type, json_array(job.arguments))
            found, error = to_payload(answer.ok), answer.err
    except Error as raised:
        found, error = Payload(), error_data(raised)
    if ANSWER in job.headers:
        outcome = succeeded(found) if error is None else pack(Outcome(err=error))
        put_json(response.succeeded.response, outcome)
    elif error is None:
        response.succeeded.response.CopyFrom(found)
    else:
        response.failed.CopyFrom(failure(error))


def _stack_trace(workflow: Queried) -> Payload:
    """Return where the program's coroutines wait, and the pending items at Temporal."""
    stacks = [
        f"coroutine {number}, blocked:\n{stack}" for number, stack in enumerate(workflow.inspect().stacks, 1)
    ]
    waits = list(_waits(workflow)) or ["no activity, timer, child or signal is pending"]
    return to_payload(pack("\n\n".join([*stacks, "\n".join(waits)])))


def _waits(workflow: Queried) -> Iterable[str]:
    for call in workflow.activities.pending.values():
        yield f"waits for the {'' if call.queue else 'local '}activity {call.name} ({call.id})"
    if workflow.timers:
        yield f"waits for {len(workflow.timers)} timer{'s' if len(workflow.timers) > 1 else ''}"
    for child in workflow.children.pending.values():
        yield f"has the child {child.type_name} ({child.id})"
    for signal in workflow.signals.pending.values():
        yield f"sends {signal.send.topic} to {signal.target}"


def _metadata(workflow: Queried) -> Payload:
    """Return a WorkflowMetadata, in the JSON of protobufs."""
    found = workflow.inspect()
    definition = {
        "type": workflow.info.workflow_type,
        "queryDefinitions": _named([*BUILT_IN, *found.queries]),
        "signalDefinitions": _named(found.topics),
        "updateDefinitions": _named(found.updates),
    }
    return Payload(
        metadata={"encoding": b"json/protobuf", "messageType": b"temporal.api.sdk.v1.WorkflowMetadata"},
        data=pack({"definition": definition}),
    )


def _named(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name} for name in sorted(names)]


def _enhanced_stack_trace(workflow: Queried) -> Payload:
    raise Error("Saros has no enhanced stack trace; query __stack_trace", INVALID, retryable=False)


def _stack(workflow: Queried) -> Payload:
    """The same as data, for Saros's own clients."""
    return to_payload(pack(stack_of(workflow)))


def stack_of(workflow: Queried) -> Stack:
    """Return where a program waits, and what it offers."""
    found = workflow.inspect()
    names = {call.ref: f"activity {call.name}" for call in workflow.activities.pending.values()}
    names |= {child.ref: f"the end of {child.type_name}" for child in workflow.children.pending.values()}
    names |= dict.fromkeys(workflow.timers.refs, "a timer")
    coroutines = [
        Coroutine(stack.splitlines(), names.get(ref, "") if ref else "")
        for stack, ref in zip(found.stacks, found.waits, strict=True)
    ]
    return Stack(coroutines, list(found.topics), list(found.queries), list(found.updates))


BUILT_IN: Final[dict[str, Callable[[Queried], Payload]]] = {
    "__stack_trace": _stack_trace,
    "__enhanced_stack_trace": _enhanced_stack_trace,
    "__temporal_workflow_metadata": _metadata,
    STACK_QUERY: _stack,
}
"""The queries of Temporal's own that every workflow answers: its UI and its CLI ask them."""
