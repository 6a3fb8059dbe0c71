"""The last command of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saros.errors import CANCELED, ErrorData
from saros.program import ContinueAsNew, Message, pack
from saros.raw import Raw
from saros.values import Json

from .commands import put_continuation
from .failures import failure
from .payloads import CANCELED_MEMO, put_json

if TYPE_CHECKING:
    from .execution import Execution

Ending = Json | ErrorData | ContinueAsNew
"""A result, an error, or the start of the next run."""


def close(execution: Execution, ending: Ending, late: list[Message]) -> None:
    """:param late: mail that came after the program had closed."""
    if isinstance(ending, ContinueAsNew):
        command = execution.add().continue_as_new_workflow_execution
        put_continuation(command, ending, execution.info.workflow_type, late, execution.env.deployment)
        execution.facts.hand_on(command.headers, "next run")
    elif isinstance(ending, bytes):
        put_json(execution.add().complete_workflow_execution.result, ending)
    elif ending.kind == CANCELED and execution.canceled:
        execution.upsert_memo({CANCELED_MEMO: Raw(pack(ending))})
        execution.add().cancel_workflow_execution.SetInParent()
    else:
        execution.add().fail_workflow_execution.failure.CopyFrom(failure(ending))
