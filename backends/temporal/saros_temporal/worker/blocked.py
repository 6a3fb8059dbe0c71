"""The last words of a worker whose process ends because a program has blocked it.

After the second time, the workflow's tasks fail until it is released; see
`saros_temporal.workflow.workflow_input.check_blocked`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from saros.interfaces.program import Facts
from saros.interfaces.runtime import scope_of
from saros.model.errors import INTERNAL
from saros.model.values import Json

from ..wire.operations import HUNG
from ..workflow.facts import WorkflowFacts

PASSES: Final = "Other workers take over its tasks when its timeouts expire."


def note_of(facts: Facts) -> Json:
    """The facts that `last_words` needs; empty when nothing could be noted. Any thread may read them."""
    if isinstance(facts, WorkflowFacts):
        return msgspec.json.encode((facts.info.workflow_id, facts.info.run_id, ""))
    scope = scope_of(facts)
    info = scope.lease_info if scope is not None else {}
    if {"workflow_id", "run_id", "activity_id"} <= info.keys():
        return msgspec.json.encode((info["workflow_id"], info["run_id"], info["activity_id"]))
    return b""


def client_of(facts: Facts) -> Client | None:
    """Return the client of the worker on which a workflow runs."""
    return facts.env.client if isinstance(facts, WorkflowFacts) else None


async def last_words(note: Json, problem: str, client: Client | None) -> str:
    """Note that a program has blocked a process; see `saros.interfaces.backend.Backend.blocked`.

    :param client: of a node's default connection. Clients of Temporal's serve any event loop.
    """
    if not note or client is None:
        return PASSES
    workflow_id, run_id, activity_id = msgspec.json.decode(note, type=tuple[str, str, str])
    if not activity_id:
        await client.get_workflow_handle(workflow_id, run_id=run_id).signal(HUNG, problem)
        return "This was recorded; after the second time the workflow waits to be released."
    activity = client.get_async_activity_handle(
        workflow_id=workflow_id, run_id=run_id, activity_id=activity_id
    )
    await activity.fail(ApplicationError(f"{problem}, which was ended", type=INTERNAL, non_retryable=True))
    return "The activity has failed with that error; other workers take over the rest."
