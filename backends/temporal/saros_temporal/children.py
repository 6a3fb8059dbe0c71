"""The port of signals: child workflows, messages, and requests about other executions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

import msgspec
from temporalio import common, workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from saros.entries import Entry
from saros.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, Error, ErrorData
from saros.execution import Pid
from saros.program import (
    CANCEL,
    EXIT,
    MESSAGE,
    Ask,
    Call,
    CancelRequest,
    Exit,
    Message,
    Outcome,
    Send,
    Spawn,
    outcome_ok,
    pack,
)
from saros.raw import Raw
from saros.values import Json

from .calls import retry_policy, span
from .failures import outcome_of, settled
from .headers import outgoing
from .payloads import CONTEXT, MESSAGES, SENDER, raw_values, to_payload
from .system import System

if TYPE_CHECKING:
    from .driver import Driver

_CLOSE: Final = {
    "terminate": ParentClosePolicy.TERMINATE,
    "abandon": ParentClosePolicy.ABANDON,
    "request_cancel": ParentClosePolicy.REQUEST_CANCEL,
}
REUSE: Final = {
    "allow_duplicate": common.WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    "allow_duplicate_failed_only": common.WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    "reject_duplicate": common.WorkflowIDReusePolicy.REJECT_DUPLICATE,
}


class Children:
    """What one workflow starts, tells and asks."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._awaited: dict[int, workflow.ChildWorkflowHandle[Any, RawValue]] = {}
        self._children: dict[str, bool | None] = {}  # pid -> whether it is monitored; None: it has ended
        self._system = System(driver)

    def _run(self, ref: int, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks[ref] = task
        task.add_done_callback(lambda _: self._tasks.pop(ref, None))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # an error of ours, or of the SDK: the task fails, nothing is lost
            self._driver.fail_task(error)

    # --- children -----------------------------------------------------------------------------

    def spawn(self, ref: int, spawn: Spawn) -> None:
        driver = self._driver
        size = len(spawn.args) + sum(len(message.payloads) for message in spawn.messages)
        if not driver.fits(ref, size):
            return
        registry = driver.env.deployment.registry
        target = registry.get(spawn.entry) or registry.by_type(spawn.entry)
        if target is None and not spawn.options.task_queue:
            text = f"the app has no entry {spawn.entry}"
            driver.refuse(ref, ErrorData(text, NOT_FOUND, True))
            return
        if target is not None and target.role != "workflow":
            self._spawn_process(ref, spawn, target)
            return
        try:
            place, queue = self._place(target, spawn)
        except Error as error:
            driver.refuse(ref, error)
            return
        if spawn.options.search_attributes:
            why = driver.facts.refuse_attributes(bytes(spawn.options.search_attributes))
            if why is not None:
                driver.refuse(ref, ErrorData(why, INVALID, False))
                return
        type_name = spawn.entry if target is None else target.type_name
        self._run(ref, self._child(ref, spawn, type_name, place, queue))

    def _spawn_process(self, ref: int, spawn: Spawn, target: Entry) -> None:
        if spawn.exec:  # to wait for a function or process is to call it
            self._driver.calls.schedule(ref, Call(target.id, spawn.args, spawn.context))
            return
        self._system.spawn(ref, spawn)

    def _place(self, target: Entry | None, spawn: Spawn) -> tuple[str, str]:
        if target is None:  # of another SDK
            return "default", spawn.options.task_queue
        worker, queue = self._driver.env.deployment.worker_and_queue(target, spawn.host)
        return worker or "default", spawn.options.task_queue or queue

    async def _child(self, ref: int, spawn: Spawn, type_name: str, place: str, queue: str) -> None:
        driver = self._driver
        id = spawn.options.id or spawn.name or str(workflow.uuid4())
        pid = str(Pid(place, id))
        if spawn.options.start_delay or (spawn.options.id_conflict_policy == "terminate_existing"):
            self._system.start(ref, spawn, type_name, id, place, queue)  # Temporal's children have neither
            return
        try:
            handle = await self._start(spawn, type_name, id, queue)
        except WorkflowAlreadyStartedError:
            self._exists(ref, spawn, type_name, id, place, queue)
            return
        except FailureError as failure:
            driver.settle(ref, outcome_of(failure))
            return
        if spawn.exec:
            self._awaited[ref] = handle
        else:
            self._children[pid] = spawn.monitor
            driver.settle(ref, outcome_ok(pack(pid)))
        outcome = await _ended(handle)
        if spawn.exec:
            self._awaited.pop(ref, None)
            driver.settle(ref, outcome)
            return
        monitored, self._children[pid] = self._children.get(pid), None
        if monitored:
            driver.post(EXIT, 0, exit_body(pid, outcome))

    async def _start(
        self, spawn: Spawn, type_name: str, id: str, queue: str
    ) -> workflow.ChildWorkflowHandle[Any, RawValue]:
        options = spawn.options
        headers = {SENDER: pack(self._driver.pid)}
        if spawn.context != b"{}":
            headers[CONTEXT] = bytes(spawn.context)
        if spawn.messages:
            headers[MESSAGES] = pack(spawn.messages)
        memo = msgspec.json.decode(options.memo, type=dict[str, Raw]) if options.memo else {}
        patient = options.wait_for_cancellation
        with outgoing(headers):
            return await workflow.start_child_workflow(
                type_name,
                args=raw_values(spawn.args),
                id=id,
                task_queue=queue,
                result_type=RawValue,
                cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED
                if patient
                else ChildWorkflowCancellationType.TRY_CANCEL,
                parent_close_policy=_CLOSE[options.parent_close_policy],
                execution_timeout=span(options.execution_timeout),
                run_timeout=span(options.run_timeout),
                task_timeout=span(options.task_timeout),
                id_reuse_policy=REUSE[options.id_reuse_policy],
                retry_policy=retry_policy(options.retry_policy) if options.retry_policy else None,
                cron_schedule=options.cron_schedule,
                memo={key: RawValue(to_payload(item)) for key, item in memo.items()} or None,
                search_attributes=self._driver.env.search.typed(options.search_attributes),
            )

    def _exists(self, ref: int, spawn: Spawn, type_name: str, id: str, place: str, queue: str) -> None:
        options = spawn.options
        if options.execution_error_when_already_started or options.id_conflict_policy == "fail":
            error = ErrorData(f"workflow {id} runs already", ALREADY_EXISTS, False)
            self._driver.refuse(ref, error)
            return
        self._system.start(ref, spawn, type_name, id, place, queue)

    def cancel(self, ref: int, reason: str) -> bool:
        handle = self._awaited.get(ref)
        if handle is not None:
            handle.cancel()
            return True
        task = self._tasks.get(ref)
        if task is not None:
            task.cancel()
        return task is not None or self._system.cancel(ref)

    # --- messages -----------------------------------------------------------------------------

    def send(self, ref: int, send: Send) -> None:
        driver = self._driver
        if not driver.fits(ref, len(send.payloads)):
            return
        pid = Pid.parse(send.to)
        if send.to == driver.pid:
            driver.settle(ref, b'{"ok":true}')
            driver.post(MESSAGE, 0, pack(Message(send.topic, driver.pid, send.payloads)))
        elif pid is None or not pid.is_workflow:
            self._system.send(ref, send, pid)
        elif self._children.get(send.to, True) is None:
            driver.refuse(ref, not_found(send.to))
        else:
            self._run(ref, self._signal(ref, send, pid))

    async def _signal(self, ref: int, send: Send, pid: Pid) -> None:
        handle = workflow.get_external_workflow_handle(pid.id)
        try:
            with outgoing({SENDER: pack(self._driver.pid)}):
                await handle.signal(send.topic, args=raw_values(send.payloads))
        except FailureError:
            self._driver.refuse(ref, not_found(send.to))
            return
        self._driver.settle(ref, b'{"ok":true}')

    # --- requests -----------------------------------------------------------------------------

    def ask(self, ref: int, ask: Ask) -> None:
        driver = self._driver
        if ask.to == driver.pid and ask.verb == "cancel":
            driver.settle(ref, b'{"ok":true}')
            driver.post(CANCEL, 0, pack(CancelRequest(driver.pid, ask.reason)))
        elif ask.verb in ("monitor", "unmonitor") and ask.to in self._children:
            if self._children[ask.to] is None and ask.verb == "monitor":
                driver.refuse(ref, not_found(ask.to))
                return
            if self._children[ask.to] is not None:
                self._children[ask.to] = ask.verb == "monitor"
            driver.settle(ref, b'{"ok":true}')
        else:
            self._system.ask(ref, ask)

    def record(self, ref: int, value: Json) -> None:
        """Write the value of a side effect into the history."""
        self._system.record(ref, value)


async def _ended(handle: workflow.ChildWorkflowHandle[Any, RawValue]) -> Json:
    try:
        return settled(await handle)
    except FailureError as failure:
        return outcome_of(failure)


def exit_body(pid: str, outcome: Json) -> Json:
    """The body of an EXIT event."""
    end = msgspec.json.decode(outcome, type=Outcome)
    return pack(Exit(pid, end.ok, end.err))


def not_found(dest: str) -> ErrorData:
    return ErrorData(f"process {dest} not found", NOT_FOUND, False)
