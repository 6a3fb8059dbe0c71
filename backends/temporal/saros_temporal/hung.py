"""Workflows that block their worker: after the second time their tasks fail, until somebody releases them.

Temporal gives a task whose worker has died to the next one, again and again. So before its process ends (see
`saros.app.watchdog`) the worker sends the workflow a signal of Saros's own. It is in the activation that the next
worker gets, together with what it would run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from saros.interfaces.backend import MAX_HANGS
from saros.interfaces.program import Facts
from saros.interfaces.runtime import scope_of
from saros.model.errors import INTERNAL, Error
from saros.model.values import Json

from .facts import WorkflowFacts

if TYPE_CHECKING:
    from .execution import Execution

PASSES: Final = "What it did passes to others when its timeouts are over."
HUNG: Final = "@hung"
RELEASED: Final = "@released"
MARKS: Final = frozenset({HUNG, RELEASED})
"""Signals that are no events. The argument of the first is what was noticed."""


def check(jobs: Sequence[WorkflowActivationJob], execution: Execution) -> None:
    """Look whether what an activation brings may run.

    :raises Error: when it has ended too many workers; that fails the task, and the workflow waits.
    """
    times = 0
    for job in jobs:
        name = job.signal_workflow.signal_name if job.HasField("signal_workflow") else ""
        times = 0 if name == RELEASED else times + (name == HUNG)
    if times >= MAX_HANGS:
        id = execution.info.workflow_id
        message = f"{id} has blocked {times} workers, which were ended; it waits to be released"
        raise Error(message, INTERNAL, hint="repair the code, then `saros release`")


def note_of(facts: Facts) -> Json:
    """What `last_words` has to know; empty when it could note nothing. Any thread may ask."""
    if isinstance(facts, WorkflowFacts):
        own = facts.execution.info
        return msgspec.json.encode((own.workflow_id, own.run_id, ""))
    scope = scope_of(facts)
    info = scope.lease_info if scope is not None else {}
    if {"workflow_id", "run_id", "activity_id"} <= info.keys():
        return msgspec.json.encode((info["workflow_id"], info["run_id"], info["activity_id"]))
    return b""


def client_of(facts: Facts) -> Client | None:
    """That of the worker on which a workflow runs."""
    return facts.execution.env.client if isinstance(facts, WorkflowFacts) else None


async def last_words(note: Json, problem: str, client: Client | None) -> str:
    """Note that a program has blocked a process; see `saros.interfaces.backend.Backend.blocked`.

    :param client: of a node's default connection. Clients of Temporal's serve any event loop.
    """
    if not note or client is None:
        return PASSES
    workflow_id, run_id, activity_id = msgspec.json.decode(note, type=tuple[str, str, str])
    if not activity_id:
        await client.get_workflow_handle(workflow_id, run_id=run_id).signal(HUNG, problem)
        return "It is noted; after the second time the workflow waits to be released."
    activity = client.get_async_activity_handle(
        workflow_id=workflow_id, run_id=run_id, activity_id=activity_id
    )
    await activity.fail(ApplicationError(f"{problem}, which was ended", type=INTERNAL, non_retryable=True))
    return "The activity has failed with that error; all else passes to others."
