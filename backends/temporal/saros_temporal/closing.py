"""The last command of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saros.model.errors import CANCELED, ErrorData
from saros.model.raw import Raw
from saros.model.records import ContinueAsNew, Message, pack
from saros.model.values import Json

from .commands import put_continuation
from .failures import CANCELED_ERROR, failure
from .payloads import CANCELED_MEMO, SENDER, put_json

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
        if execution.starter:
            put_json(command.headers[SENDER], execution.starter)
        return
    if execution.canceled and execution.info.cron_schedule:
        if isinstance(ending, bytes):  # the server would start it again, as after a failure
            ending = CANCELED_ERROR
        _cancel(execution, ending)
    elif isinstance(ending, bytes):
        put_json(execution.add().complete_workflow_execution.result, ending)
    elif execution.canceled and ending.kind == CANCELED:
        _cancel(execution, ending)
    else:
        last = execution.canceled and bool(execution.info.retry_policy)
        execution.add().fail_workflow_execution.failure.CopyFrom(failure(ending, last))


def _cancel(execution: Execution, error: ErrorData) -> None:
    execution.upsert_memo({CANCELED_MEMO: Raw(pack(error))})
    execution.add().cancel_workflow_execution.SetInParent()
