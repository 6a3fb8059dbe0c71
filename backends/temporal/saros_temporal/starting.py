"""A workflow's first events, from how Temporal started it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import InitializeWorkflow
from temporalio.workflow import Info

from saros.entries import Entry
from saros.model import values
from saros.model.execution import Pid
from saros.model.raw import Raw
from saros.model.records import EMPTY, MESSAGE, START, Event, Message, Start, pack

from .payloads import CONTEXT, MESSAGES, SECRET, SENDER, header, json_array

if TYPE_CHECKING:
    from .execution import Execution

NS = 1_000_000_000


def first_events(job: InitializeWorkflow, execution: Execution, entry: Entry) -> list[Event]:
    """START, and the messages that the starter sent along.

    :raises Error: INVALID for arguments that are no data.
    """
    headers = job.headers
    start = Start(
        json_array(job.arguments),
        Raw(header(headers, CONTEXT, bytes(EMPTY))),
        Raw(pack(_info(execution.info, headers))),
        execution.pid,
        entry.id,
        str(execution.random.getrandbits(64)),
    )
    execution.starter = header(headers, SENDER, b"")
    execution.facts.given = msgspec.json.decode(header(headers, SECRET, b'""'), type=str)
    messages = msgspec.json.decode(header(headers, MESSAGES, b"[]"), type=list[Message])
    mail = [Event(MESSAGE, 0, pack(message), execution.now) for message in messages]
    return [Event(START, 0, pack(start), execution.now), *mail]


def _info(info: Info, headers: Mapping[str, Payload]) -> dict[str, Any]:
    parent = None
    if info.parent is not None:
        parent = msgspec.json.decode(header(headers, SENDER, b'""'), type=str)
        parent = parent or str(Pid("default", info.parent.workflow_id))
    found = {
        "workflow_id": info.workflow_id,
        "run_id": info.run_id,
        "workflow_type": info.workflow_type,
        "task_queue": info.task_queue,
        "namespace": info.namespace,
        "attempt": info.attempt,
        "start_time": int(info.start_time.timestamp() * NS),
        "parent": parent,
        "search_attributes": _search(info),
        "first_run_id": info.first_execution_run_id,
        "continued_from": info.continued_run_id,
    }
    return {key: item for key, item in found.items() if item is not None}


def _search(info: Info) -> Raw | None:
    pairs = info.typed_search_attributes.search_attributes
    return Raw(values.encode({pair.key.name: pair.value for pair in pairs})) if pairs else None
