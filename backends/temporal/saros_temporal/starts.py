"""Start requests: Temporal's form of a `saros.model.execution.StartRequest`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from temporalio.api.common.v1 import Payload, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.converter import DataConverter

from saros.model.execution import StartRequest
from saros.model.records import pack
from saros.model.values import Json, members

from .payloads import CONTEXT, MESSAGES, SECRET, SENDER, memo_name, payloads, to_payload
from .policies import REUSE, cron_schedule, put_durations, retry_policy

if TYPE_CHECKING:
    from .search import SearchAttributes

_CONFLICT: Final = {
    "use_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    "fail": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    "terminate_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
}


async def start_request(
    request: StartRequest, namespace: str, identity: str, converter: DataConverter, search: SearchAttributes
) -> StartWorkflowExecutionRequest:
    """:raises Error: INVALID for values that are no data."""
    options = request.options
    conflict = "fail" if options.execution_error_when_already_started else options.id_conflict_policy
    built = StartWorkflowExecutionRequest(
        namespace=namespace,
        workflow_id=request.id,
        workflow_type=WorkflowType(name=request.type),
        task_queue=TaskQueue(name=request.task_queue),
        identity=identity,
        request_id=request.request_id,
        workflow_id_conflict_policy=_CONFLICT[conflict],
        workflow_id_reuse_policy=REUSE[options.id_reuse_policy],
        cron_schedule=cron_schedule(options),
        request_eager_execution=options.enable_eager_start,
    )
    built.input.payloads.extend(await encoded(converter, payloads(request.args)))
    put_durations(
        built,
        workflow_execution_timeout=options.execution_timeout,
        workflow_run_timeout=options.run_timeout,
        workflow_task_timeout=options.task_timeout,
        workflow_start_delay=options.start_delay,
    )
    if options.retry_policy is not None:
        built.retry_policy.CopyFrom(retry_policy(options.retry_policy))
    if options.memo:
        memo = members(options.memo)
        for key, item in zip(
            memo, await encoded(converter, [to_payload(i) for i in memo.values()]), strict=True
        ):
            built.memo.fields[memo_name(key)].CopyFrom(item)
    for key, item in search.encoded(options.search_attributes).items():
        built.search_attributes.indexed_fields[key].CopyFrom(item)
    for key, json in _headers(request).items():
        built.header.fields[key].CopyFrom((await encoded(converter, [to_payload(json)]))[0])
    return built


def _headers(request: StartRequest) -> dict[str, Json]:
    headers: dict[str, Json] = {}
    if request.context != b"{}":
        headers[CONTEXT] = bytes(request.context)
    if request.messages:
        headers[MESSAGES] = pack(request.messages)
    starter = request.parent.pid if request.parent else request.watcher.pid if request.watcher else ""
    if starter:
        headers[SENDER] = pack(starter)
    headers[SECRET] = pack(os.urandom(32).hex())
    return headers


async def encoded(converter: DataConverter, items: Sequence[Payload]) -> list[Payload]:
    """Payloads as the codec makes them."""
    codec = converter.payload_codec
    return await codec.encode(items) if codec is not None and items else list(items)


async def decoded(converter: DataConverter, items: Sequence[Payload]) -> list[Payload]:
    """Payloads as they were before the codec."""
    codec = converter.payload_codec
    return await codec.decode(items) if codec is not None and items else list(items)
