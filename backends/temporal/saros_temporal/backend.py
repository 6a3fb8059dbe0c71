"""The backend: what Temporal is to the rest of Saros."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

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

from saros import values
from saros.attributes import check_search
from saros.clock import Clock, RealClock
from saros.deployment import Deployment
from saros.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, Error
from saros.execution import RUNNING, Description, HistoryPage, Pid, Started, StartRequest
from saros.host import ProcessHost
from saros.program import CANCEL, EXIT, LINK_DOWN, MESSAGE, Ask, CancelRequest, Message, Outcome, pack, unpack
from saros.values import Json

from .client import Target, connect, rpc_error, seconds, target_of
from .converter import data_converter
from .descriptions import description, visibility_query, worker_of
from .environment import Environment
from .failures import CANCELED_ERROR, error_of, outcome_of, settled
from .names import Names
from .pages import History
from .payloads import ANSWER, CANCELED_MEMO, SENDER, payloads, raw_json, raw_values, to_json, to_payload
from .reasons import write_reason
from .schedules import apply_schedules
from .search import SearchAttributes, register
from .starts import decoded, encoded, start_request
from .worker import GRACE_S, serve, workers_of

_SIGNALS = {EXIT: "@exit", LINK_DOWN: "@link_down", CANCEL: "@cancel"}


class TemporalBackend:
    """See `saros.backend.Backend`."""

    keeps_schedules = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = options
        self.clock: Clock = RealClock()
        self._deployment: Deployment | None = None
        self._target: Target | None = None
        self._client: Client | None = None
        self._search = SearchAttributes()
        self._host: ProcessHost | None = None
        self._names = Names(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watches: dict[tuple[str, str], asyncio.Task[Any]] = {}

    @property
    def url(self) -> str:
        return self._target.url if self._target else self._url

    @property
    def host(self) -> ProcessHost | None:
        """The processes of this node, once it works."""
        return self._host

    @property
    def client(self) -> Client:
        if self._client is None:
            raise RuntimeError("the backend is not open")
        return self._client

    @property
    def deployment(self) -> Deployment:
        if self._deployment is None:
            raise RuntimeError("the backend is not open")
        return self._deployment

    async def open(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._target = target_of(self._url, deployment.registry)
        self._client = await connect(self._target, data_converter(self._options))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def on_close(self, task: asyncio.Task[Any]) -> None:
        """Have a task cancelled when the backend closes."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- workers ------------------------------------------------------------------------------

    async def join(self, host: ProcessHost) -> None:
        """Nothing to do: the task queue of a node exists for who asks, and waits until `work` serves it."""

    async def work(self, host: ProcessHost) -> None:
        deployment = self.deployment
        self._host = host
        self._search = await register(self.client, self._wanted())
        await apply_schedules(self.client, deployment)

        def environment(worker: str) -> Environment:
            return Environment(deployment, worker, self._search, host, self.client, self)

        workers = workers_of(deployment, host, environment)
        grace = [
            seconds(worker.get("worker_options.worker_stop_timeout")) or GRACE_S
            for worker in deployment.registry.of_kind("temporal.worker")
        ]
        await serve(workers, max(grace, default=GRACE_S))

    def _wanted(self) -> dict[str, str]:
        wanted: dict[str, str] = {}
        for entry in self.deployment.registry.of_kind("temporal.client"):
            wanted.update(entry.get("search_attributes", {}))
        return wanted

    # --- executions ---------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Started:
        search = request.options.search_attributes
        if search:
            if self._search.known is None:
                self._search = await register(self.client, self._wanted())
            why = check_search(bytes(search)) or self._search.refusal(search)
            if why:
                raise Error(why, INVALID, retryable=False)
        client = self.client
        converter = client.data_converter
        built = await start_request(request, client.namespace, client.identity, converter, self._search)
        place = worker_of(self.deployment, request.task_queue)
        if request.worker:
            place = request.worker
        pid = str(Pid(place, request.id))
        while True:
            try:
                response = await client.workflow_service.start_workflow_execution(built, retry=True)
            except RPCError as error:
                if error.status == RPCStatusCode.ALREADY_EXISTS:
                    text = f"workflow {request.id} exists already"
                    raise Error(text, ALREADY_EXISTS, retryable=False) from error
                raise self._error(error, request.id) from error
            if response.started or await self._send_all(request):
                break
        if request.watcher is not None and self._host is not None and self._host.get(request.watcher.pid):
            self._watch(pid, request.watcher.pid, request.watcher.link, response.run_id)
        return Started(request.id, response.run_id, pid, response.started)

    async def _send_all(self, request: StartRequest) -> bool:
        """Give the messages of a start to the workflow that ran already; False when it has just ended."""
        for number, message in enumerate(request.messages):
            key = f"{request.request_id}:{number}"
            if not await self.send(request.pid, MESSAGE, pack(message), key):
                return number > 0
        return True

    def _handle(self, id: str, run_id: str = "") -> WorkflowHandle[Any, RawValue]:
        return self.client.get_workflow_handle(id, run_id=run_id or None, result_type=RawValue)

    def _error(self, error: RPCError, id: str) -> Error:
        assert self._target is not None
        return rpc_error(error, self._target, f"workflow {id}")

    async def result(self, id: str, run_id: str = "") -> Json:
        try:
            return settled(await self._handle(id, run_id).result())
        except WorkflowFailureError as failure:
            if isinstance(failure.cause, CancelledError):
                return await self._canceled(id)
            return outcome_of(failure.cause)
        except RPCError as error:
            raise self._error(error, id) from error

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
            raise self._error(error, id) from error
        described = await description(
            found.workflow_execution_info,
            self.deployment,
            self.client.data_converter,
            found.execution_config.task_queue.name,
        )
        if found.pending_workflow_task.attempt > 1:
            described.problem = await History(self, id, described.run_id).problem()
        return described

    async def executions(self, query: str = "") -> AsyncIterator[Description]:
        try:
            async for found in self.client.list_workflows(visibility_query(query)):
                yield await description(found.raw_info, self.deployment, self.client.data_converter)
        except RPCError as error:
            if error.status == RPCStatusCode.INVALID_ARGUMENT:
                raise Error(f"bad query {query!r}: {error.message}", INVALID, retryable=False) from error
            raise self._error(error, "") from error

    async def history(self, id: str, run_id: str = "", start: int = 0, wait: bool = False) -> HistoryPage:
        try:
            return await History(self, id, run_id).page(start, wait)
        except RPCError as error:
            raise self._error(error, id) from error

    async def export(self, id: str, run_id: str = "") -> Any:
        """Temporal's own JSON, as its CLI and UI export it; payloads are decoded."""
        try:
            return json.loads((await History(self, id, run_id).decoded()).to_json())
        except RPCError as error:
            raise self._error(error, id) from error

    async def query(self, id: str, name: str, args: Json, run_id: str = "") -> Json:
        request = QueryWorkflowRequest(
            namespace=self.client.namespace,
            execution=WorkflowExecution(workflow_id=id, run_id=run_id),
        )
        request.query.query_type = name
        request.query.query_args.payloads.extend(await self._encoded(payloads(args)))
        marker = await self._encoded([to_payload(b"true")])
        request.query.header.fields[ANSWER].CopyFrom(marker[0])
        try:
            response = await self.client.workflow_service.query_workflow(request, retry=True)
        except RPCError as error:
            raise self._error(error, id) from error
        found = await decoded(self.client.data_converter, response.query_result.payloads)
        outcome = msgspec.json.decode(to_json(found[0]), type=Outcome)
        if outcome.err is not None:
            raise values.to_error(outcome.err)
        return bytes(outcome.ok) if outcome.ok else values.NULL

    async def release(self, id: str) -> None:
        raise Error(
            "Temporal itself tries failed workflow tasks again",
            INVALID,
            retryable=False,
            hint="reset the workflow with the temporal command to begin earlier in its history",
        )

    async def update(self, id: str, name: str, args: Json) -> Json:
        try:
            found = await self._handle(id).execute_update(name, args=raw_values(args), result_type=RawValue)
        except WorkflowUpdateFailedError as error:
            raise values.to_error(error_of(error.cause)) from error
        except RPCError as error:
            raise self._error(error, id) from error
        return raw_json(found)

    # --- requests -----------------------------------------------------------------------------

    async def runs(self, id: str) -> bool:
        """Whether an execution runs."""
        try:
            return (await self.describe(id)).status == RUNNING
        except Error as error:
            if error.kind == NOT_FOUND:
                return False
            raise

    async def send(self, pid: Pid, op: str, body: Json, key: str = "") -> bool:
        if not pid.is_workflow:
            return False
        if op == CANCEL:
            request = unpack(body, CancelRequest)
            return await self._cancel(pid.id, write_reason(request.sender, request.reason), key)
        signal = SignalWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=pid.id),
            identity=self.client.identity,
            request_id=key,
        )
        content: list[Payload]
        if op == MESSAGE:
            message = unpack(body, Message)
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
            self.client.workflow_service.signal_workflow_execution(signal, retry=True), pid.id
        )

    async def _encoded(self, items: list[Payload]) -> list[Payload]:
        return await encoded(self.client.data_converter, items)

    async def _cancel(self, id: str, reason: str, key: str) -> bool:
        request = RequestCancelWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=id),
            identity=self.client.identity,
            request_id=key,
            reason=reason,
        )
        service = self.client.workflow_service
        return await self._request(service.request_cancel_workflow_execution(request, retry=True), id)

    async def _request(self, call: Any, id: str) -> bool:
        """Whether a request found a running execution."""
        try:
            await call
        except RPCError as error:
            found = self._error(error, id)
            if found.kind == NOT_FOUND and error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise found from error
        return True

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        if not pid.is_workflow:
            return False
        if ask.verb in ("monitor", "link"):
            if not await self.runs(pid.id):
                return False
            self._watch(str(pid), asker, ask.verb == "link")
            return True
        if ask.verb in ("unmonitor", "unlink"):
            watch = self._watches.pop((str(pid), asker), None)
            if watch is not None:
                watch.cancel()
            return True
        if ask.verb == "cancel":
            return await self._cancel(pid.id, write_reason(asker, ask.reason), key)
        request = TerminateWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=pid.id),
            identity=self.client.identity,
            reason="terminated" + (f": {ask.reason}" if ask.reason else ""),
        )
        service = self.client.workflow_service
        return await self._request(service.terminate_workflow_execution(request, retry=True), pid.id)

    def _watch(self, pid: str, watcher: str, link: bool, run_id: str = "") -> None:
        """Tell an actor of this process when a workflow has ended; the watch ends with the process."""
        if (pid, watcher) not in self._watches:
            task = asyncio.get_running_loop().create_task(self._tell(pid, watcher, link, run_id))
            self._watches[pid, watcher] = task
            self.on_close(task)

    async def _tell(self, pid: str, watcher: str, link: bool, run_id: str) -> None:
        found = Pid.parse(pid)
        if found is None:
            return
        outcome = await self.result(found.id, run_id)
        self._watches.pop((pid, watcher), None)
        actor = self._host.get(watcher) if self._host else None
        if actor is not None:
            actor.watched_end(pid, outcome, link)

    async def notify_end(self, watcher: str, ended: str, outcome: Json, link: bool) -> None:
        pid = Pid.parse(watcher)
        if pid is not None and pid.is_workflow:
            from .children import exit_body

            await self.send(pid, EXIT, exit_body(ended, outcome), f"{ended}:exit:{watcher}")

    async def register(self, name: str, pid: str) -> bool:
        return await self._names.register(name, pid)

    async def lookup(self, name: str) -> str | None:
        """A registered name, or the id of a workflow that runs."""
        owner = await self._names.lookup(name)
        if owner is not None:
            return owner
        try:
            found = await self.describe(name)
        except Error as error:
            if error.kind in (NOT_FOUND, INVALID):
                return None
            raise
        return found.pid if found.status == RUNNING else None

    async def unregister(self, name: str, pid: str = "") -> bool:
        return await self._names.unregister(name, pid)
