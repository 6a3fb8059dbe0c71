"""Workflows that block their worker: after the second time their tasks fail, until somebody releases them.

Temporal gives a task whose worker has died to the next one, again and again. So before its process ends (see
`saros.app.watchdog`) the worker sends the workflow a signal of Saros's own. It is in the activation that the next
worker gets, together with what it would run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from saros.interfaces.backend import MAX_HANGS
from saros.interfaces.host import Actor
from saros.interfaces.program import Facts
from saros.model.errors import INTERNAL, Error

from .facts import WorkflowFacts

if TYPE_CHECKING:
    from .execution import Execution

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


async def last_words(facts: Facts, problem: str, client: Client | None) -> str:
    """Note that a program has blocked this process; see `saros.interfaces.backend.Backend.blocked`.

    :param client: of this node's default connection. Clients of Temporal's serve any event loop.
    """
    if isinstance(facts, WorkflowFacts):
        own = facts.execution
        if own.env.client is not None:
            handle = own.env.client.get_workflow_handle(own.info.workflow_id, run_id=own.info.run_id)
            await handle.signal(HUNG, problem)
            return "It is noted; after the second time the workflow waits to be released."
    elif isinstance(facts, Actor) and client is not None:
        info = facts.scope.info
        if {"workflow_id", "run_id", "activity_id"} <= info.keys():
            activity = client.get_async_activity_handle(
                workflow_id=info["workflow_id"], run_id=info["run_id"], activity_id=info["activity_id"]
            )
            failed = ApplicationError(f"{problem}, which was ended", type=INTERNAL, non_retryable=True)
            await activity.fail(failed)
            return "The activity has failed with that error; all else passes to others."
    return "What it did passes to others when its timeouts are over."
