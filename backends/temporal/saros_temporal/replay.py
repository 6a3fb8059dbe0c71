"""Replays histories that Temporal's CLI or UI exported, without a server."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from saros.interfaces.deployment import Deployment
from saros.model.errors import INTERNAL, Error, NonDeterminism

from .converter import data_converter
from .descriptions import worker_of
from .environment import Environment
from .runner import InlineExecutor, SarosRunner
from .search import SearchAttributes
from .workflow import SarosWorkflow

_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')


def replay_exported(document: Any, deployment: Deployment) -> int:
    """The number of events of a history that the app's code still matches.

    :raises NonDeterminism: when it does not.
    :raises Error: when the code does not run.
    """
    history = WorkflowHistory.from_json("replay", json.dumps(document))
    with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
        thread.submit(asyncio.run, replay_history(history, deployment)).result()
    return len(history.events)


async def replay_history(history: WorkflowHistory, deployment: Deployment) -> None:
    """Replay a history.

    :raises NonDeterminism: when the app's code does not match it.
    """
    first = history.events[0].workflow_execution_started_event_attributes
    if first.workflow_id:
        history = WorkflowHistory(first.workflow_id, history.events)
    place = worker_of(deployment, first.task_queue.name)
    environment = Environment(deployment, "" if place == "default" else place, SearchAttributes())
    converter = data_converter({})
    replayer = Replayer(
        workflows=[SarosWorkflow],
        workflow_runner=SarosRunner(environment, converter.payload_codec),
        workflow_task_executor=InlineExecutor(),
        data_converter=converter,
    )
    found = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if found.replay_failure is not None:
        raise _mismatch(first.workflow_type.name, str(found.replay_failure))


def _mismatch(type_name: str, failure: str) -> Error:
    """What Temporal says lies in the dump of a structure: take the message out of it."""
    told = _MESSAGE.search(failure)
    text = told.group(1).encode().decode("unicode_escape") if told else failure
    if "TMPRL1100" in text or "ondeterminism" in text:
        return NonDeterminism(
            f"the code of {type_name} no longer matches the history: {text}",
            event=0,
            expected="",
            actual=text,
            where=None,
        )
    return Error(f"the code of {type_name} does not run: {text}", INTERNAL, retryable=False)
