"""Replays histories that Temporal's CLI or UI exported, without a server."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from saros.deployment import Deployment
from saros.errors import NonDeterminism

from .activities import SarosInterceptor
from .converter import data_converter
from .descriptions import worker_of
from .environment import Environment
from .search import SearchAttributes
from .workflow import SarosWorkflow


def replay_exported(document: Any, deployment: Deployment) -> int:
    """The number of events of a history that the app's code still matches.

    :raises NonDeterminism: when it does not.
    """
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        return thread.submit(asyncio.run, _replay(document, deployment)).result()


async def _replay(document: Any, deployment: Deployment) -> int:
    history = WorkflowHistory.from_json("replay", json.dumps(document))
    first = history.events[0].workflow_execution_started_event_attributes
    if first.workflow_id:
        history = WorkflowHistory(first.workflow_id, history.events)
    place = worker_of(deployment, first.task_queue.name)
    environment = Environment(deployment, "" if place == "default" else place, SearchAttributes())
    with ThreadPoolExecutor(1) as threads:
        replayer = Replayer(
            workflows=[SarosWorkflow],
            interceptors=[SarosInterceptor(environment)],
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_task_executor=threads,
            data_converter=data_converter({}),
        )
        found = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if found.replay_failure is not None:
        raise NonDeterminism(
            f"the code of {first.workflow_type.name} no longer matches the history: {found.replay_failure}",
            event=0,
            expected="",
            actual=str(found.replay_failure),
            where=None,
        )
    return len(history.events)
