"""A workflow's first events, from how Temporal started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from saros.entries import Entry
from saros.execution import Pid
from saros.program import EMPTY, MESSAGE, START, Event, Message, Start, pack
from saros.raw import Raw

from .payloads import CONTEXT, MESSAGES, SENDER, header, json_array_of

NS = 1_000_000_000


def first_events(
    pid: str, entry: Entry, args: Sequence[RawValue], headers: Mapping[str, Payload]
) -> list[Event]:
    """START, and the messages that the starter sent along.

    :raises Error: INVALID for arguments that are no data.
    """
    start = Start(
        json_array_of(args),
        Raw(header(headers, CONTEXT, bytes(EMPTY))),
        Raw(pack(_info(headers))),
        pid,
        entry.id,
        str(workflow.random().getrandbits(64)),
    )
    messages = msgspec.json.decode(header(headers, MESSAGES, b"[]"), type=list[Message])
    return [Event(START, 0, pack(start), 0)] + [Event(MESSAGE, 0, pack(message), 0) for message in messages]


def _info(headers: Mapping[str, Payload]) -> dict[str, Any]:
    info = workflow.info()
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


def _search(info: workflow.Info) -> dict[str, Any] | None:
    pairs = info.typed_search_attributes.search_attributes
    return {pair.key.name: pair.value for pair in pairs} or None
