"""Messages to the workflows of one namespace: queries, updates, signals, cancel requests and terminations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import msgspec
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from saros.model import values
from saros.model.errors import INVALID, NOT_FOUND, TIMEOUT, Error
from saros.model.execution import new_id
from saros.model.records import CANCEL, MESSAGE, CancelRequest, Message, Outcome, pack, unpack
from saros.model.values import Json

from ..wire.failures import GONE, NEXT_RUN, error_of
from ..wire.operations import RELEASED, SIGNALS
from ..wire.payloads import (
    ANSWER,
    MAX_PAYLOAD,
    SENDER,
    TRACE,
    decoded,
    encoded,
    payloads,
    raw_json,
    raw_values,
    to_json,
    to_payload,
    too_large,
    write_reason,
)
from .carrying import carrier
from .errors import rpc_error
from .retries import hurry
from .target import Target

QUERIES: Final = 5
"""The most times that a query is sent when its run ends before it answers."""
UPDATES: Final = 20
"""The most times that an update is sent when its run continues as new."""
ADMISSIONS: Final = 5
"""How often an update is sent again that the server did not admit."""
ADMISSION_S: Final = 0.5
"""The pause before the first of them; each further pause is longer by it."""
QUERY_S: Final = 10.0
"""How long a worker may take to answer a query."""
_UNANSWERED: Final = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.FAILED_PRECONDITION,  # no worker has polled recently
)


class Messages:
    """:param runs: returns whether an execution is running."""

    def __init__(self, client: Client, target: Target, runs: Callable[[str], Awaitable[bool]]) -> None:
        self._client = client
        self._target = target
        self._runs = runs

    def _handle(self, id: str) -> WorkflowHandle[Any, RawValue]:
        return self._client.get_workflow_handle(id, result_type=RawValue)

    def _error(self, error: RPCError, id: str) -> Error:
        return rpc_error(error, self._target, f"workflow {id}")

    async def query(
        self, id: str, name: str, args: Json, run_id: str = "", within_s: float = QUERY_S
    ) -> Json:
        check_size(args)
        request = QueryWorkflowRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=id, run_id=run_id),
        )
        request.query.query_type = name
        request.query.query_args.payloads.extend(await self._encoded(payloads(args)))
        marker = await self._encoded([to_payload(b"true")])
        request.query.header.fields[ANSWER].CopyFrom(marker[0])
        for _ in range(QUERIES):  # without a run id, the next one goes to the run that continues this one
            try:
                response = await self._client.workflow_service.query_workflow(
                    request, retry=True, timeout=timedelta(seconds=within_s)
                )
            except RPCError as error:
                if error.status in _UNANSWERED:
                    text = f"no worker has answered the query {name} of {id}; does one serve its task queue?"
                    raise Error(text, TIMEOUT) from error
                raise self._error(error, id) from error
            found = await decoded(self._client.data_converter, response.query_result.payloads)
            outcome = msgspec.json.decode(to_json(found[0]), type=Outcome)
            if outcome.err != GONE:
                break
        if outcome.err is not None:
            raise values.to_error(outcome.err)
        return bytes(outcome.ok) if outcome.ok else values.NULL

    async def update(self, id: str, name: str, args: Json, trace: str = "") -> Json:
        check_size(args)
        carrier.set(trace)
        key = new_id()  # a run carries out an update once, however often it is sent
        for attempt in range(1, UPDATES + 1):
            try:
                found = await self._handle(id).execute_update(
                    name, args=raw_values(args), id=key, result_type=RawValue
                )
                return raw_json(found)
            except WorkflowUpdateFailedError as error:
                data = error_of(error.cause)
                if attempt == UPDATES or data != NEXT_RUN:
                    raise values.to_error(data) from error
                key = new_id()
            except RPCError as error:
                # While a failed workflow task waits to be tried again, the server admits no update. A task that
                # arrives after the end of its run is dropped, with the updates that it carried.
                if attempt <= ADMISSIONS and error.status == RPCStatusCode.FAILED_PRECONDITION:
                    await asyncio.sleep(ADMISSION_S * attempt)
                elif (
                    attempt == UPDATES
                    or error.status != RPCStatusCode.UNAVAILABLE
                    or not await self._runs(id)
                ):
                    raise self._error(error, id) from error
        raise AssertionError("unreachable")

    async def send(self, id: str, op: str, body: Json, key: str = "", run_id: str = "") -> bool:
        """Signal a workflow, or a given run of it; return False if it is not running."""
        if op == CANCEL:
            request = unpack(body, CancelRequest)
            return await self.cancel(id, write_reason(request.sender, request.reason), key)
        signal = SignalWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id, run_id=run_id),
            identity=self._client.identity,
            request_id=key,
        )
        content: list[Payload]
        if op == MESSAGE:
            message = unpack(body, Message)
            check_size(message.payloads)
            signal.signal_name = message.topic
            content = payloads(message.payloads)
            if message.sender:
                sender = await self._encoded([to_payload(pack(message.sender))])
                signal.header.fields[SENDER].CopyFrom(sender[0])
            if message.trace:
                carrier = await self._encoded([to_payload(pack(message.trace))])
                signal.header.fields[TRACE].CopyFrom(carrier[0])
        else:
            signal.signal_name = SIGNALS[op]
            content = [to_payload(body)]
        signal.input.payloads.extend(await self._encoded(content))
        return await self._request(
            self._client.workflow_service.signal_workflow_execution(signal, retry=True), id
        )

    async def _encoded(self, items: list[Payload]) -> list[Payload]:
        return await encoded(self._client.data_converter, items)

    async def release(self, id: str) -> None:
        """Release a workflow that has blocked its workers, and attempt now what waits for a retry.

        :raises Error: NOT_FOUND when it is not running, or nothing of it has failed.
        """
        handle = self._handle(id)
        try:
            found = (await handle.describe()).raw_description
            hurried = await hurry(self._client, found)
            if found.pending_workflow_task.attempt >= 2:
                await handle.signal(RELEASED)
            elif not hurried:
                raise Error(
                    f"{id} has nothing that is parked or waits for a retry", NOT_FOUND, retryable=False
                )
        except RPCError as error:
            raise self._error(error, id) from error

    async def cancel(self, id: str, reason: str, key: str) -> bool:
        """Request the cancellation of a workflow; return False if it is not running.

        The server accepts requests for ended workflows, and ignores them. An end that comes after the question is
        like one that comes before the workflow receives the request.
        """
        if not await self._runs(id):
            return False
        request = RequestCancelWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            identity=self._client.identity,
            request_id=key,
            reason=reason,
        )
        service = self._client.workflow_service
        return await self._request(service.request_cancel_workflow_execution(request, retry=True), id)

    async def terminate(self, id: str, reason: str) -> bool:
        """Terminate a workflow; return False if it is not running."""
        request = TerminateWorkflowExecutionRequest(
            namespace=self._client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            identity=self._client.identity,
            reason=reason,
        )
        service = self._client.workflow_service
        return await self._request(service.terminate_workflow_execution(request, retry=True), id)

    async def _request(self, call: Any, id: str) -> bool:
        """Return whether a request found a running execution."""
        try:
            await call
        except RPCError as error:
            found = self._error(error, id)
            if found.kind == NOT_FOUND and error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise found from error
        return True


def check_size(*items: Json | msgspec.Raw) -> None:
    """:raises Error: INVALID for more than the server accepts; the server's own message does not say what to do."""
    size = sum(len(item) for item in items)
    if size > MAX_PAYLOAD:
        raise Error(too_large(size), INVALID, retryable=False)
