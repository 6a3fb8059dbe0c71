"""The executions of one namespace: starting them, looking at them and talking to them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
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
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

from saros.interfaces.deployment import Deployment
from saros.model import values
from saros.model.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, TIMEOUT, Error
from saros.model.execution import RUNNING, Description, HistoryPage, Pid, Started, StartRequest, new_id
from saros.model.records import (
    CANCEL,
    EXIT,
    LINK_DOWN,
    MESSAGE,
    CancelRequest,
    Message,
    Outcome,
    pack,
    unpack,
)
from saros.model.search import admitted, check_search
from saros.model.text import shown
from saros.model.values import Json

from .client import Target
from .descriptions import description, visibility_query, worker_of
from .failures import CANCELED_ERROR, error_of, outcome_of, settled
from .hung import RELEASED
from .pages import History
from .payloads import (
    ANSWER,
    CANCELED_MEMO,
    MAX_PAYLOAD,
    SENDER,
    payloads,
    raw_json,
    raw_values,
    to_json,
    to_payload,
    too_large,
)
from .reasons import write_reason
from .refusals import rpc_error
from .search import SearchAttributes, register
from .starts import decoded, encoded, start_request
from .updates import NEXT_RUN

UPDATES: Final = 20
"""How often an update is sent at most, when the run that it meets continues as new."""
QUERY_S: Final = 10.0
"""How long a worker may take to answer a query."""
_UNANSWERED: Final = (
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.FAILED_PRECONDITION,  # no worker was seen lately
)

_SIGNALS: Final = {EXIT: "@exit", LINK_DOWN: "@link_down", CANCEL: "@cancel"}


class Executions:
    """Those of one namespace, as one client sees them.

    :param workers: entry ids of the workers that work for it.
    :param wanted: the search attributes that its client entries declare, with their types.
    """

    def __init__(
        self,
        target: Target,
        client: Client,
        deployment: Deployment,
        workers: Sequence[str] = (),
        wanted: Mapping[str, str] | None = None,
    ) -> None:
        self.target = target
        self.client = client
        self.deployment = deployment
        self.workers = list(workers)
        self.wanted = dict(wanted or {})
        self.search = SearchAttributes()

    async def register(self) -> None:
        """Register the search attributes, and learn what the namespace has."""
        self.search = await register(self.client, self.wanted)

    def worker_of(self, queue: str) -> str:
        """The worker that serves a task queue here, as the first part of a pid."""
        return worker_of(self.deployment, queue, self.workers)

    async def start(self, request: StartRequest) -> Started:
        search = request.options.search_attributes
        if search:
            if self.search.known is None:
                await self.register()
            why = check_search(bytes(search)) or admitted(bytes(search), self.search.refusals(search))[1]
            if why:
                raise Error(why, INVALID, retryable=False)
        _check_size(request.args, *(message.payloads for message in request.messages))
        client = self.client
        self.deployment.registry.check_namespace(request.options, request.worker, client.namespace)
        built = await start_request(
            request, client.namespace, client.identity, client.data_converter, self.search
        )
        pid = str(Pid(request.worker or self.worker_of(request.task_queue), request.id))
        while True:
            try:
                response = await client.workflow_service.start_workflow_execution(built, retry=True)
            except RPCError as error:
                if error.status == RPCStatusCode.ALREADY_EXISTS:
                    text = f"workflow {request.id} exists already"
                    raise Error(text, ALREADY_EXISTS, retryable=False) from error
                raise self.error(error, request.id) from error
            if response.started or await self._send_all(request):
                break
        return Started(request.id, response.run_id, pid, response.started)

    async def _send_all(self, request: StartRequest) -> bool:
        """Give the messages of a start to the workflow that ran already; False when it has just ended."""
        for number, message in enumerate(request.messages):
            key = f"{request.request_id}:{number}"
            if not await self.send(request.id, MESSAGE, pack(message), key):
                return number > 0
        return True

    def _handle(self, id: str, run_id: str = "") -> WorkflowHandle[Any, RawValue]:
        return self.client.get_workflow_handle(id, run_id=run_id or None, result_type=RawValue)

    def error(self, error: RPCError, id: str) -> Error:
        """What a failed request about an execution is to its caller."""
        return rpc_error(error, self.target, f"workflow {id}")

    # --- looking ------------------------------------------------------------------------------

    async def result(self, id: str, run_id: str = "") -> Json:
        try:
            return settled(await self._handle(id, run_id).result())
        except WorkflowFailureError as failure:
            if isinstance(failure.cause, CancelledError):
                return await self._canceled(id)
            return outcome_of(failure.cause)
        except RPCError as error:
            raise self.error(error, id) from error

    async def _canceled(self, id: str) -> Json:
        """The `Outcome` of a cancelled run: its error is in the memo."""
        found = (await self._handle(id).describe()).raw_description.workflow_execution_info
        payload = found.memo.fields.get(CANCELED_MEMO)
        if payload is None:
            return pack(Outcome(err=CANCELED_ERROR))
        return b'{"err":' + to_json((await decoded(self.client.data_converter, [payload]))[0]) + b"}"

    async def describe(self, id: str, run_id: str = "") -> Description:
        try:
            found = (await self._handle(id, run_id).describe()).raw_description
        except RPCError as error:
            raise self.error(error, id) from error
        info = found.workflow_execution_info
        place = self.worker_of(info.task_queue or found.execution_config.task_queue.name)
        described = await description(
            info,
            self.deployment,
            self.client.data_converter,
            found.execution_config.task_queue.name,
            place=place,
        )
        if found.pending_workflow_task.attempt > 1:
            described.problem = await History(self, id, described.run_id).problem()
        if info.first_run_id not in ("", described.run_id):
            described.attempt = await History(self, id, described.run_id).attempt()
        return described

    async def knows(self, id: str, run_id: str = "") -> bool:
        """Whether the namespace has such an execution."""
        try:
            await self._handle(id, run_id).describe()
        except RPCError as error:
            found = self.error(error, id)
            if found.kind == NOT_FOUND or error.status == RPCStatusCode.INVALID_ARGUMENT:
                return False
            raise found from error
        return True

    async def runs(self, id: str) -> bool:
        """Whether an execution runs."""
        try:
            return (await self.describe(id)).status == RUNNING
        except Error as error:
            if error.kind == NOT_FOUND:
                return False
            raise

    async def listed(self, query: str) -> AsyncGenerator[Description, None]:
        """Newest first."""
        try:
            async for found in self.client.list_workflows(visibility_query(query)):
                info = found.raw_info
                place = self.worker_of(info.task_queue)
                yield await description(info, self.deployment, self.client.data_converter, place=place)
        except RPCError as error:
            raise self._listing_error(error, query) from error

    async def count(self, query: str) -> int:
        try:
            return (await self.client.count_workflows(visibility_query(query))).count
        except RPCError as error:
            raise self._listing_error(error, query) from error

    def _listing_error(self, error: RPCError, query: str) -> Error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            return Error(f"bad query {shown(query)}: {error.message}", INVALID, retryable=False)
        return self.error(error, "")

    async def history(self, id: str, run_id: str = "", start: int = 0, wait: bool = False) -> HistoryPage:
        try:
            return await History(self, id, run_id).page(start, wait)
        except RPCError as error:
            raise self.error(error, id) from error

    async def export(self, id: str, run_id: str = "") -> Any:
        """Temporal's own JSON, as its CLI and UI export it; payloads are decoded."""
        try:
            return json.loads((await History(self, id, run_id).decoded()).to_json())
        except RPCError as error:
            raise self.error(error, id) from error

    # --- talking ------------------------------------------------------------------------------

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        _check_size(args)
        request = QueryWorkflowRequest(
            namespace=self.client.namespace,
            execution=WorkflowExecution(workflow_id=id, run_id=run_id),
        )
        request.query.query_type = name
        request.query.query_args.payloads.extend(await self._encoded(payloads(args)))
        marker = await self._encoded([to_payload(b"true")])
        request.query.header.fields[ANSWER].CopyFrom(marker[0])
        try:
            response = await self.client.workflow_service.query_workflow(
                request, retry=True, timeout=timedelta(seconds=QUERY_S)
            )
        except RPCError as error:
            if error.status in _UNANSWERED:
                text = f"no worker has answered the query {name} of {id}; does one serve its task queue?"
                raise Error(text, TIMEOUT) from error
            raise self.error(error, id) from error
        found = await decoded(self.client.data_converter, response.query_result.payloads)
        outcome = msgspec.json.decode(to_json(found[0]), type=Outcome)
        if outcome.err is not None:
            raise values.to_error(outcome.err)
        return bytes(outcome.ok) if outcome.ok else values.NULL

    async def update(self, id: str, name: str, args: Json) -> Json:
        _check_size(args)
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
                # A task that met the end of its run is dropped, with the updates that it had heard of.
                if attempt == UPDATES or error.status != RPCStatusCode.UNAVAILABLE:
                    raise self.error(error, id) from error
                if not await self.runs(id):  # also raises when the server is not there
                    raise self.error(error, id) from error
        raise AssertionError("unreachable")

    async def send(self, id: str, op: str, body: Json, key: str = "", run_id: str = "") -> bool:
        """Signal a workflow, or only that run of it; False when it does not run."""
        if op == CANCEL:
            request = unpack(body, CancelRequest)
            return await self.cancel(id, write_reason(request.sender, request.reason), key)
        signal = SignalWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id, run_id=run_id),
            identity=self.client.identity,
            request_id=key,
        )
        content: list[Payload]
        if op == MESSAGE:
            message = unpack(body, Message)
            _check_size(message.payloads)
            signal.signal_name = message.topic
            content = payloads(message.payloads)
            if message.sender:
                sender = await self._encoded([to_payload(pack(message.sender))])
                signal.header.fields[SENDER].CopyFrom(sender[0])
        else:
            signal.signal_name = _SIGNALS[op]
            content = [to_payload(body)]
        signal.input.payloads.extend(await self._encoded(content))
        return await self._request(
            self.client.workflow_service.signal_workflow_execution(signal, retry=True), id
        )

    async def _encoded(self, items: list[Payload]) -> list[Payload]:
        return await encoded(self.client.data_converter, items)

    async def release(self, id: str) -> None:
        """Let a workflow that has blocked its workers run again.

        :raises Error: NOT_FOUND when it does not run, or no task of it has failed.
        """
        handle = self._handle(id)
        try:
            task = (await handle.describe()).raw_description.pending_workflow_task
            if task.attempt < 2:
                raise Error(f"no workflow task of {id} has failed", NOT_FOUND, retryable=False)
            await handle.signal(RELEASED)
        except RPCError as error:
            raise self.error(error, id) from error

    async def cancel(self, id: str, reason: str, key: str) -> bool:
        """Ask a workflow to end; False when it does not run."""
        request = RequestCancelWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            identity=self.client.identity,
            request_id=key,
            reason=reason,
        )
        service = self.client.workflow_service
        return await self._request(service.request_cancel_workflow_execution(request, retry=True), id)

    async def terminate(self, id: str, reason: str) -> bool:
        """End a workflow at once; False when it does not run."""
        request = TerminateWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            identity=self.client.identity,
            reason=reason,
        )
        service = self.client.workflow_service
        return await self._request(service.terminate_workflow_execution(request, retry=True), id)

    async def _request(self, call: Any, id: str) -> bool:
        """Whether a request found a running execution."""
        try:
            await call
        except RPCError as error:
            found = self.error(error, id)
            if found.kind == NOT_FOUND and error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise found from error
        return True


def _check_size(*items: Json | msgspec.Raw) -> None:
    """:raises Error: INVALID for more than the server would take; its own words do not say what to do."""
    size = sum(len(item) for item in items)
    if size > MAX_PAYLOAD:
        raise Error(too_large(size), INVALID, retryable=False)
