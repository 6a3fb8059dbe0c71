"""The queries of Temporal's own that every workflow answers: its UI and its CLI ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.common.v1 import Payload

from saros.model.errors import INVALID, Error
from saros.model.records import pack

from .payloads import to_payload

if TYPE_CHECKING:
    from .execution import Execution


def _stack_trace(execution: Execution) -> Payload:
    """Where the program's coroutines wait, and for what of Temporal's."""
    stacks = [
        f"coroutine {number}, blocked:\n{stack}" for number, stack in enumerate(execution.inspect().stacks, 1)
    ]
    waits = list(_waits(execution)) or ["no activity, timer, child or signal is under way"]
    return to_payload(pack("\n\n".join([*stacks, "\n".join(waits)])))


def _waits(execution: Execution) -> Iterable[str]:
    for call in execution.calls.pending.values():
        yield f"waits for the {'' if call.queue else 'local '}activity {call.name} ({call.id})"
    if execution.timers:
        yield f"waits for {len(execution.timers)} timer{'s' if len(execution.timers) > 1 else ''}"
    for child in execution.children.pending.values():
        yield f"has the child {child.type_name} ({child.id})"
    for signal in execution.children.signals.values():
        yield f"sends {signal.send.topic} to {signal.target}"


def _metadata(execution: Execution) -> Payload:
    """A WorkflowMetadata, in the JSON of protobufs."""
    found = execution.inspect()
    definition = {
        "type": execution.info.workflow_type,
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


def _enhanced_stack_trace(execution: Execution) -> Payload:
    raise Error("Saros has no enhanced stack trace; ask for __stack_trace", INVALID, retryable=False)


BUILT_IN: Final[dict[str, Callable[[Execution], Payload]]] = {
    "__stack_trace": _stack_trace,
    "__enhanced_stack_trace": _enhanced_stack_trace,
    "__temporal_workflow_metadata": _metadata,
}
