"""The port of signals: child workflows, messages, and requests about other executions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from temporalio.bridge.proto.child_workflow import StartChildWorkflowExecutionFailedCause as Cause
from temporalio.bridge.proto.workflow_activation import (
    ResolveChildWorkflowExecution,
    ResolveChildWorkflowExecutionStart,
    ResolveSignalExternalWorkflow,
)

from saros.entries import Entry
from saros.model.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, Error, ErrorData
from saros.model.execution import Pid
from saros.model.options import check_start
from saros.model.records import (
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
from saros.model.text import cut, one_line
from saros.model.values import Json

from .commands import CHILD_WAIT_REQUESTED, put_child, put_signal
from .failures import CANCELED_OUTCOME, failed, resolved
from .reasons import write_reason
from .system import System

if TYPE_CHECKING:
    from .execution import Execution


@dataclass(slots=True, eq=False)
class Child:
    """A child workflow, from the command that asks for it to its end."""

    ref: int
    spawn: Spawn
    type_name: str
    place: str
    queue: str
    id: str = ""
    seq: int = 0  # 0 before it is started, and after it has ended
    canceled: bool = False
    outlives: bool = False  # its cancellation is waited for, also when the program has ended

    @property
    def pid(self) -> str:
        return str(Pid(self.place, self.id))


@dataclass(slots=True, eq=False)
class Signal:
    """A message that is under way to another workflow."""

    ref: int
    send: Send
    target: str  # workflow id
    seq: int = 0
    canceled: bool = False


class Children:
    """What one workflow starts, tells and asks."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._system = System(execution)
        self._refs: dict[int, Child | Signal] = {}  # whose command is not settled
        self._reached: dict[int, str] = {}  # ref -> pid of a workflow that is awaited, and is no child
        self._monitored: dict[str, bool | None] = {}  # pid -> whether it is monitored; None: it has ended
        self._started = 0  # numbers so far
        self._signaled = 0
        self.pending: dict[int, Child] = {}  # by number
        self.signals: dict[int, Signal] = {}

    # --- children -----------------------------------------------------------------------------

    def spawn(self, ref: int, spawn: Spawn) -> None:
        execution = self._execution
        size = len(spawn.args) + sum(len(message.payloads) for message in spawn.messages)
        if not execution.fits(ref, size):
            return
        registry = execution.env.deployment.registry
        target = registry.get(spawn.entry) or registry.by_type(spawn.entry)
        if target is None and not spawn.options.task_queue:
            execution.refuse(
                ref, ErrorData(f"the app has no entry {one_line(cut(spawn.entry))}", NOT_FOUND, True)
            )
            return
        if target is not None and target.role != "workflow":
            self._spawn_process(ref, spawn, target)
            return
        try:
            check_start(spawn.options, spawn.options.id or spawn.name or "-")
            place, queue = self._place(target, spawn)
            if not execution.env.is_elsewhere(place):
                namespace = execution.info.namespace
                execution.env.deployment.registry.check_namespace(spawn.options, place, namespace)
        except Error as error:
            execution.refuse(ref, error)
            return
        if spawn.options.search_attributes:
            _, why = execution.facts.admit_attributes(bytes(spawn.options.search_attributes))
            if why is not None:
                execution.refuse(ref, ErrorData(why, INVALID, False))
                return
        type_name = spawn.entry if target is None else target.type_name
        child = self._refs[ref] = Child(ref, spawn, type_name, place, queue)
        self._start(child)

    def _spawn_process(self, ref: int, spawn: Spawn, target: Entry) -> None:
        if spawn.exec:  # to wait for a function or process is to call it
            self._execution.calls.schedule(ref, Call(target.id, spawn.args, spawn.context))
            return
        self._system.spawn(ref, spawn)

    def _place(self, target: Entry | None, spawn: Spawn) -> tuple[str, str]:
        if target is None:  # of another SDK
            return "default", spawn.options.task_queue
        worker, queue = self._execution.env.deployment.registry.worker_and_queue(target, spawn.host)
        return worker or "default", spawn.options.task_queue or queue

    def _start(self, child: Child) -> None:
        execution, spawn = self._execution, child.spawn
        child.id = spawn.options.id or spawn.name or execution.uuid()
        options = spawn.options
        if (
            options.start_delay
            or options.id_conflict_policy == "terminate_existing"
            or execution.env.is_elsewhere(child.place)
        ):
            self._reach(child)  # Temporal's children have none of these
            return
        self._started += 1
        child.seq = self._started
        self.pending[child.seq] = child
        start = execution.add().start_child_workflow_execution
        start.seq = child.seq
        start.namespace = execution.info.namespace
        start.workflow_id = child.id
        start.task_queue = child.queue
        put_child(start, spawn, child.type_name, execution.pid, execution.env.search)
        execution.facts.hand_on(start.headers, f"child {child.seq}")
        if options.parent_close_policy == "abandon":
            child.outlives = True
            if not options.wait_for_cancellation:
                start.cancellation_type = CHILD_WAIT_REQUESTED

    def _reach(self, child: Child) -> None:
        """Start a workflow that is no child, or reach the one that runs already."""
        self._refs.pop(child.ref, None)
        if child.spawn.exec:
            self._reached[child.ref] = child.pid
        self._system.start(child.ref, child.spawn, child.type_name, child.id, child.place, child.queue)

    def started(self, job: ResolveChildWorkflowExecutionStart) -> Callable[[], None]:
        """Hear whether a child has been started. Gives what tells the program."""
        child = self.pending[job.seq]
        status = job.WhichOneof("status")
        if status == "succeeded":
            return partial(self._runs, child)
        del self.pending[job.seq]
        child.seq = 0
        if status == "cancelled":
            return partial(self._settle, child, failed(job.cancelled.failure))
        if job.failed.cause == Cause.START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS:
            return partial(self._exists, child)
        raise RuntimeError(f"the child {child.id} was not started: {Cause.Name(job.failed.cause)}")

    def _runs(self, child: Child) -> None:
        if not child.spawn.exec:
            self._monitored[child.pid] = child.spawn.monitor and not child.canceled
            self._settle(child, outcome_ok(pack(child.pid)))

    def _exists(self, child: Child) -> None:
        options = child.spawn.options
        if options.execution_error_when_already_started or options.id_conflict_policy == "fail":
            error = ErrorData(f"workflow {child.id} runs already", ALREADY_EXISTS, False)
            self._settle(child, pack(Outcome(err=error)))
        else:
            self._reach(child)

    def ended(self, job: ResolveChildWorkflowExecution) -> Callable[[], None]:
        """Hear how a child ended. Gives what tells the program."""
        child = self.pending.pop(job.seq)
        child.seq = 0
        return partial(self._ended, child, resolved(job.result))

    def _ended(self, child: Child, outcome: Json) -> None:
        if child.spawn.exec:
            self._settle(child, outcome)
            return
        monitored, self._monitored[child.pid] = self._monitored.get(child.pid), None
        if monitored:
            self._execution.calls.news()
            self._execution.post(EXIT, 0, exit_body(child.pid, outcome))

    def _settle(self, work: Child | Signal, outcome: Json) -> None:
        self._refs.pop(work.ref, None)
        self._execution.calls.news()
        self._execution.settle(work.ref, outcome)

    def cancel(self, ref: int, reason: str) -> bool:
        reached = self._reached.pop(ref, None)
        if reached is not None:
            self._system.cancel(ref, reached, reason)
            return True
        work = self._refs.get(ref)
        if work is None:
            return False
        if work.seq and not work.canceled:
            self._request(work, reason)
        work.canceled = True
        return True

    def settled(self) -> bool:
        """Whether the workflow may close: its end would drop the cancellation of a child that is to outlive it."""
        cancels = any(child.outlives and child.canceled for child in self.pending.values())
        return not cancels and not self._system.telling

    def _request(self, work: Child | Signal, reason: str) -> None:
        if isinstance(work, Signal):
            self._execution.add().cancel_signal_workflow.seq = work.seq
            return
        cancel = self._execution.add().cancel_child_workflow_execution
        cancel.child_workflow_seq = work.seq
        cancel.reason = write_reason(self._execution.pid, reason)

    # --- messages -----------------------------------------------------------------------------

    def send(self, ref: int, send: Send) -> None:
        execution = self._execution
        if not execution.fits(ref, len(send.payloads)):
            return
        pid = Pid.parse(send.to)
        if send.to == execution.pid:
            execution.settle(ref, b'{"ok":true}')
            execution.post(MESSAGE, 0, pack(Message(send.topic, execution.pid, send.payloads)))
        elif pid is None or not pid.is_workflow:
            self._system.send(ref, send, pid)
        elif execution.env.is_elsewhere(pid.place):
            self._system.send(ref, send, None)
        elif self._monitored.get(send.to, True) is None:
            execution.refuse(ref, not_found(send.to))
        else:
            signal = self._refs[ref] = Signal(ref, send, pid.id)
            self._signal(signal)

    def tell(self, ref: int, send: Send) -> None:
        if self._execution.fits(0, len(send.payloads)):
            self._system.tell(ref, send)

    def _signal(self, signal: Signal) -> None:
        execution, send = self._execution, signal.send
        self._signaled += 1
        signal.seq = self._signaled
        self.signals[signal.seq] = signal
        message = Message(send.topic, execution.pid, send.payloads)
        command = execution.add().signal_external_workflow_execution
        command.seq = signal.seq
        put_signal(command, execution.info.namespace, signal.target, message)

    def signaled(self, job: ResolveSignalExternalWorkflow) -> Callable[[], None]:
        """Hear whether a message has reached its workflow. Gives what tells the program."""
        signal = self.signals.pop(job.seq)
        signal.seq = 0
        outcome = b'{"ok":true}'
        if job.HasField("failure"):
            outcome = CANCELED_OUTCOME if signal.canceled else pack(Outcome(err=not_found(signal.send.to)))
        return partial(self._settle, signal, outcome)

    # --- requests -----------------------------------------------------------------------------

    def ask(self, ref: int, ask: Ask) -> None:
        execution = self._execution
        if ask.to == execution.pid and ask.verb == "cancel":
            execution.settle(ref, b'{"ok":true}')
            execution.post(CANCEL, 0, pack(CancelRequest(execution.pid, ask.reason)))
        elif ask.verb in ("monitor", "unmonitor") and ask.to in self._monitored:
            if self._monitored[ask.to] is None and ask.verb == "monitor":
                execution.refuse(ref, not_found(ask.to))
                return
            if self._monitored[ask.to] is not None:
                self._monitored[ask.to] = ask.verb == "monitor"
            execution.settle(ref, b'{"ok":true}')
        else:
            self._system.ask(ref, ask)

    def record(self, ref: int, value: Json) -> None:
        """Write the value of a side effect into the history."""
        self._system.record(ref, value)


def exit_body(pid: str, outcome: Json) -> Json:
    """The body of an EXIT event."""
    end = msgspec.json.decode(outcome, type=Outcome)
    return pack(Exit(pid, end.ok, end.err))


def not_found(dest: str) -> ErrorData:
    return ErrorData(f"process {dest} not found", NOT_FOUND, False)
