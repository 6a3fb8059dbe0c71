"""Descriptions and list queries."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import WorkflowExecutionStatus
from temporalio.converter import DataConverter

from saros.insight.query import parse
from saros.interfaces.deployment import Deployment
from saros.model import values
from saros.model.errors import Error
from saros.model.execution import (
    CANCELED,
    COMPLETED,
    CONTINUED,
    FAILED,
    RUNNING,
    TERMINATED,
    TIMED_OUT,
    Description,
    Pid,
)
from saros.model.raw import Raw
from saros.model.search import All, Condition, Node

from ..wire.operations import NAME_TYPE, NODE_TYPE
from ..wire.payloads import CANCELED_MEMO, decoded, to_json, user_name

STATUS: Final = {
    WorkflowExecutionStatus.RUNNING: RUNNING,
    WorkflowExecutionStatus.COMPLETED: COMPLETED,
    WorkflowExecutionStatus.FAILED: FAILED,
    WorkflowExecutionStatus.CANCELED: CANCELED,
    WorkflowExecutionStatus.TERMINATED: TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: TIMED_OUT,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: CONTINUED,
}
_TEMPORAL_STATUS: Final = {
    RUNNING: "Running",
    COMPLETED: "Completed",
    FAILED: "Failed",
    CANCELED: "Canceled",
    TERMINATED: "Terminated",
    TIMED_OUT: "TimedOut",
    CONTINUED: "ContinuedAsNew",
}
_NAMED: Final = {name: status for status, name in _TEMPORAL_STATUS.items()}
_FIELDS: Final = {
    "status": "ExecutionStatus",
    "type": "WorkflowType",
    "id": "WorkflowId",
    "run_id": "RunId",
    "task_queue": "TaskQueue",
    "start_time": "StartTime",
    "close_time": "CloseTime",
}


def status_named(name: str) -> str:
    """Return the status for a status of the server."""
    return _NAMED.get(name, RUNNING)


def visibility_query(query: str) -> str:
    """Translate a list query into Temporal's syntax.

    :raises Error: INVALID for a bad query.
    """
    node = parse(query)
    ours = f"WorkflowType NOT IN ('{NAME_TYPE}', '{NODE_TYPE}')"
    return ours if node == All(()) else f"{ours} AND {_rendered(node)}"


def _rendered(node: Node) -> str:
    if isinstance(node, Condition):
        return _condition(node)
    word = " AND " if isinstance(node, All) else " OR "
    return f"({word.join(map(_rendered, node.parts))})"


_OPPOSITE: Final = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _condition(condition: Condition) -> str:
    """Return a condition in SQL, where a missing value satisfies neither a comparison nor its negation."""
    name = _FIELDS.get(condition.field, f"`{condition.name}`")
    op, negated, field = condition.operator, condition.negated, condition.field
    if op == "null":
        return f"{name} IS {'NOT ' if negated else ''}NULL"
    if op == "in":
        said = (
            f"{'NOT ' if negated else ''}IN ({', '.join(_literal(item, field) for item in condition.value)})"
        )
    elif op == "starts":
        said = f"{'NOT ' if negated else ''}STARTS_WITH {_literal(condition.value, field)}"
    else:
        said = f"{_OPPOSITE[op] if negated else op} {_literal(condition.value, field)}"
    missing_too = (op == "!=") is not negated and (not field or field == "close_time")
    return f"({name} {said} OR {name} IS NULL)" if missing_too else f"{name} {said}"


def _literal(value: Any, field: str) -> str:
    if field == "status":
        return f"'{_TEMPORAL_STATUS[value]}'"
    if isinstance(value, dt.datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{quoted}'"
    return repr(value)


async def description(
    info: WorkflowExecutionInfo,
    deployment: Deployment,
    converter: DataConverter,
    queue: str = "",
    *,
    place: str,
) -> Description:
    """Convert Temporal's description of an execution. `place` is its worker."""
    type_name = info.type.name
    entry = deployment.registry.by_type(type_name)
    queue = info.task_queue or queue
    return Description(
        id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        pid=str(Pid(place, info.execution.workflow_id)),
        type=type_name,
        entry=entry.id if entry else type_name,
        status=STATUS.get(WorkflowExecutionStatus(info.status), RUNNING) if info.status else RUNNING,
        task_queue=queue,
        start_time=info.start_time.ToNanoseconds(),
        close_time=info.close_time.ToNanoseconds() if info.HasField("close_time") else None,
        history_length=info.history_length,
        history_size=info.history_size_bytes,
        parent=str(Pid("default", info.parent_execution.workflow_id))
        if info.parent_execution.workflow_id
        else None,
        search_attributes={
            key: _search_value(item)
            for key, item in info.search_attributes.indexed_fields.items()
            if not key.startswith(("Temporal", "BuildIds"))
        },
        memo=await _memo(dict(info.memo.fields), converter),
    )


def worker_of(deployment: Deployment, queue: str, workers: Iterable[str] | None = None) -> str:
    """Return the worker (of `workers`) that serves a task queue, as the first part of a pid."""
    registry = deployment.registry
    if workers is None:
        workers = [worker.id for worker in registry.of_kind("temporal.worker")]
    for worker in workers:
        if registry.task_queue(worker) == queue:
            return worker
    return "default"


def _search_value(payload: Payload) -> Raw:
    text = payload.data
    if payload.metadata.get("type") == b"Double":
        return Raw(msgspec.json.encode(float(json.loads(text))))
    if payload.metadata.get("type") == b"Datetime":
        return Raw(text.replace(b"+00:00", b"Z"))
    return Raw(text)


async def _memo(fields: dict[str, Payload], converter: DataConverter) -> dict[str, Raw]:
    memo: dict[str, Raw] = {}
    for key, payload in fields.items():
        if key == CANCELED_MEMO:
            continue
        try:
            memo[user_name(key)] = values.readable(to_json((await decoded(converter, [payload]))[0]))
        except Error as error:  # of another SDK, with another codec
            memo[user_name(key)] = Raw(values.encode(f"({error.message})"))
    return memo
