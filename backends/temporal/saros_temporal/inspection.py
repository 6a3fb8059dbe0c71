"""The queries that every workflow answers, and Temporal's UI asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from saros.errors import INVALID, Error
from saros.program import pack
from saros.values import Json

if TYPE_CHECKING:
    from .execution import Execution


def _stack_trace(execution: Execution) -> Json:
    return pack("\n".join(_waits(execution)))


def _waits(execution: Execution) -> list[str]:
    return []


def _metadata(execution: Execution) -> Json:
    return pack({"definition": {"type": execution.info.workflow_type}})


def _enhanced_stack_trace(execution: Execution) -> Json:
    raise Error("Saros has no enhanced stack trace; ask for __stack_trace", INVALID, retryable=False)


BUILT_IN: Final[dict[str, Callable[[Execution], Json]]] = {
    "__stack_trace": _stack_trace,
    "__enhanced_stack_trace": _enhanced_stack_trace,
    "__temporal_workflow_metadata": _metadata,
}
