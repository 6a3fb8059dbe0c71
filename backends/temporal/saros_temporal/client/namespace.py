"""The executions of one namespace: starts them, and queries the server about them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.common import RawValue
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

from saros.interfaces.deployment import Deployment
from saros.model.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, Error
from saros.model.execution import RUNNING, Description, HistoryPage, Pid, Started, StartRequest
from saros.model.records import MESSAGE, Outcome, pack
from saros.model.search import admitted, check_search
from saros.model.text import shown
from saros.model.values import Json

from ..wire.failures import CANCELED_ERROR, outcome_of, settled
from ..wire.payloads import CANCELED_MEMO, decoded, to_json
from ..wire.search_attributes import SearchAttributes, register
from ..wire.start_requests import start_request
from .descriptions import description, status_named, visibility_query, worker_of
from .errors import rpc_error
from .history_client import HistoryClient, Places
from .messages import Messages, check_size
from .opened import OpenedRuns
from .target import Target

NEWEST: Final = 200
"""The running executions whose task queues are known."""


class Namespace:
    """The executions of one namespace, as one client sees them.

    :param workers: the entry ids of its workers.
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
        self.places = Places()
        self.opened = OpenedRuns(self)
        self.messages = Messages(client, target, self.runs)

    async def register(self) -> None:
        """Register the search attributes, and read those of the namespace."""
        self.search = await register(self.client, self.wanted)

    def worker_of(self, queue: str) -> str:
        """Return the worker that serves a task queue here, as the first part of a pid."""
        return worker_of(self.deployment, queue, self.workers)

    async def start(self, request: StartRequest) -> Started:
        search = request.options.search_attributes
        if search:
            if self.search.known is None:
                await self.register()
            why = check_search(bytes(search)) or admitted(bytes(search), self.search.refusals(search))[1]
            if why:
                raise Error(why, INVALID, retryable=False)
        check_size(request.args, *(message.payloads for message in request.messages))
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
        """Send a start's messages to the workflow that was already running; return False if it has just ended."""
        for number, message in enumerate(request.messages):
            key = f"{request.request_id}:{number}"
            if not await self.messages.send(request.id, MESSAGE, pack(message), key):
                return number > 0
        return True

    def _handle(self, id: str, run_id: str = "") -> WorkflowHandle[Any, RawValue]:
        return self.client.get_workflow_handle(id, run_id=run_id or None, result_type=RawValue)

    def error(self, error: RPCError, id: str) -> Error:
        """Return the error for a failed request about an execution."""
        return rpc_error(error, self.target, f"workflow {id}")

    # --- reading ------------------------------------------------------------------------------

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
        """Return the `Outcome` of a cancelled run, whose error is in the memo."""
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
            problem = await HistoryClient(self, id, described.run_id).problem()
            described.problem = problem.text if problem is not None else None
        if info.first_run_id not in ("", described.run_id):
            described.attempt = await HistoryClient(self, id, described.run_id).attempt()
        return described

    async def knows(self, id: str, run_id: str = "") -> bool:
        """Return whether the namespace has this execution."""
        try:
            await self._handle(id, run_id).describe()
        except RPCError as error:
            found = self.error(error, id)
            if found.kind == NOT_FOUND or error.status == RPCStatusCode.INVALID_ARGUMENT:
                return False
            raise found from error
        return True

    async def runs(self, id: str) -> bool:
        """Return whether an execution is running."""
        try:
            return (await self.describe(id)).status == RUNNING
        except Error as error:
            if error.kind == NOT_FOUND:
                return False
            raise

    async def listed(self, query: str) -> AsyncGenerator[Description, None]:
        """Yield executions, newest first."""
        try:
            async for found in self.client.list_workflows(visibility_query(query)):
                info = found.raw_info
                place = self.worker_of(info.task_queue)
                yield await description(info, self.deployment, self.client.data_converter, place=place)
        except RPCError as error:
            raise self._listing_error(error, query) from error

    async def page(self, query: str, limit: int, token: bytes) -> tuple[list[Description], bytes]:
        """Return a page of a list in the server's order, and the token of the next page."""
        listed = self.client.list_workflows(
            visibility_query(query), page_size=limit, next_page_token=token or None
        )
        try:
            await listed.fetch_next_page()
        except RPCError as error:
            raise self._listing_error(error, query) from error
        found = [
            await description(
                each.raw_info,
                self.deployment,
                self.client.data_converter,
                place=self.worker_of(each.raw_info.task_queue),
            )
            for each in listed.current_page or ()
        ]
        return found, listed.next_page_token or b""

    async def task_queues(self) -> set[str]:
        """Return the task queues of the newest executions that run."""
        listed = self.client.list_workflows(visibility_query(f"status = '{RUNNING}'"), page_size=NEWEST)
        try:
            await listed.fetch_next_page()
        except RPCError as error:
            raise self._listing_error(error, "") from error
        return {each.raw_info.task_queue for each in listed.current_page or ()}

    async def counts(self, query: str) -> dict[str, int]:
        """Return the number of executions by status."""
        try:
            told = await self.client.count_workflows(f"{visibility_query(query)} GROUP BY ExecutionStatus")
        except RPCError as error:
            raise self._listing_error(error, query) from error
        return {status_named(str(group.group_values[0])): group.count for group in told.groups}

    async def count(self, query: str) -> int:
        try:
            return (await self.client.count_workflows(visibility_query(query))).count
        except RPCError as error:
            raise self._listing_error(error, query) from error

    def _listing_error(self, error: RPCError, query: str) -> Error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            return Error(f"bad query {shown(query)}: {error.message}", INVALID, retryable=False)
        return self.error(error, "")

    async def history(
        self, id: str, run_id: str = "", start: int = 0, wait: bool = False, limit: int = 0
    ) -> HistoryPage:
        try:
            return await HistoryClient(self, id, run_id).page(start, wait, limit)
        except RPCError as error:
            raise self.error(error, id) from error

    async def export(self, id: str, run_id: str = "") -> Any:
        """Return Temporal's own JSON, as its CLI and UI export it, with decoded payloads."""
        return json.loads((await self.decoded(id, run_id)).to_json())

    async def decoded(self, id: str, run_id: str = "") -> WorkflowHistory:
        """Return a history in Temporal's own format, with decoded payloads."""
        try:
            return await HistoryClient(self, id, run_id).decoded()
        except RPCError as error:
            raise self.error(error, id) from error
