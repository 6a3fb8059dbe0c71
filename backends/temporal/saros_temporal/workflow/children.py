"""Child workflows, from the command that starts one to its end."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.child_workflow import StartChildWorkflowExecutionFailedCause as Cause
from temporalio.bridge.proto.workflow_activation import (
    ResolveChildWorkflowExecution,
    ResolveChildWorkflowExecutionStart,
)
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.workflow import Info

from saros.entries import Entry
from saros.model.errors import ALREADY_EXISTS, INVALID, NOT_FOUND, Error, ErrorData
from saros.model.execution import Pid
from saros.model.options import check_start
from saros.model.records import EXIT, Ask, Call, Exit, Outcome, Spawn, outcome_ok, pack
from saros.model.text import cut, one_line
from saros.model.values import Json

from ..wire.failures import failed, resolved
from ..wire.payloads import TRACE, put_json, write_reason
from ..wire.start_requests import put_child
from .workflow_state import Environment


@dataclass(slots=True, eq=False)
class Child:
    """A child workflow, from the command that starts it to its end."""

    ref: int
    spawn: Spawn
    type_name: str
    place: str
    queue: str
    id: str = ""
    seq: int = 0  # 0 before it is started, and after it has ended
    canceled: bool = False
    outlives: bool = False  # its cancellation is awaited, even after the program has ended

    @property
    def pid(self) -> str:
        return str(Pid(self.place, self.id))


class ChildState(Protocol):
    """The part of the workflow that children use; see `WorkflowState`."""

    info: Info
    pid: str
    trace: str

    def add(self) -> WorkflowCommand: ...

    def uuid(self) -> str: ...

    def fits(self, ref: int, size: int) -> bool: ...

    def post(self, op: str, ref: int, body: Json) -> None: ...

    def settle(self, ref: int, outcome: Json) -> None: ...

    def refuse(self, ref: int, error: Error | ErrorData) -> None: ...

    def news(self) -> None: ...


class ChildFacts(Protocol):
    """The part of the workflow's facts that children use."""

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]: ...

    def hand_on(self, headers: MutableMapping[str, Payload], name: str) -> None: ...


class ChildSystem(Protocol):
    """Operations on workflows that cannot be children of Temporal."""

    watch_child: Callable[[str, bool], bool]

    def spawn(self, ref: int, spawn: Spawn) -> None: ...

    def start(self, ref: int, spawn: Spawn, type_name: str, id: str, place: str, queue: str) -> None: ...

    def cancel(self, ref: int, pid: str, reason: str) -> None: ...


class ChildCalls(Protocol):
    def schedule(self, ref: int, call: Call) -> None: ...


class Children:
    """The children of one workflow."""

    def __init__(
        self,
        state: ChildState,
        env: Environment,
        facts: ChildFacts,
        system: ChildSystem,
        activities: ChildCalls,
    ) -> None:
        self._state = state
        self._env = env
        self._facts = facts
        self._system = system
        system.watch_child = self._watch
        self._activities = activities
        self._refs: dict[int, Child] = {}  # whose command is not settled
        self._reached: dict[int, str] = {}  # ref -> pid of an awaited workflow that is not a child
        self._monitored: dict[str, bool | None] = {}  # pid -> whether it is monitored; None: it has ended
        self._seq = 0
        self.pending: dict[int, Child] = {}  # by number

    def spawn(self, ref: int, spawn: Spawn) -> None:
        state, registry = self._state, self._env.deployment.registry
        size = len(spawn.args) + sum(len(message.payloads) for message in spawn.messages)
        if not state.fits(ref, size):
            return
        target = registry.get(spawn.entry) or registry.by_type(spawn.entry)
        if target is None and not spawn.options.task_queue:
            text = f"the app has no entry {one_line(cut(spawn.entry))}"
            state.refuse(ref, ErrorData(text, NOT_FOUND, True))
            return
        if target is not None and target.role != "workflow":
            self._spawn_process(ref, spawn, target)
            return
        try:
            check_start(spawn.options, spawn.options.id or spawn.name or "-")
            place, queue = self._place(target, spawn)
            if not self._env.is_elsewhere(place):
                registry.check_namespace(spawn.options, place, state.info.namespace)
        except Error as error:
            state.refuse(ref, error)
            return
        if spawn.options.search_attributes:
            _, why = self._facts.admit_attributes(bytes(spawn.options.search_attributes))
            if why is not None:
                state.refuse(ref, ErrorData(why, INVALID, False))
                return
        type_name = spawn.entry if target is None else target.type_name
        child = self._refs[ref] = Child(ref, spawn, type_name, place, queue)
        self._start(child)

    def _spawn_process(self, ref: int, spawn: Spawn, target: Entry) -> None:
        if spawn.exec:  # awaiting a function or process means calling it
            self._activities.schedule(ref, Call(target.id, spawn.args, spawn.context))
            return
        self._system.spawn(ref, spawn)

    def _place(self, target: Entry | None, spawn: Spawn) -> tuple[str, str]:
        if target is None:  # of another SDK
            return "default", spawn.options.task_queue
        worker, queue = self._env.deployment.registry.worker_and_queue(target, spawn.host)
        return worker or "default", spawn.options.task_queue or queue

    def _start(self, child: Child) -> None:
        state, spawn = self._state, child.spawn
        options = spawn.options
        child.id = options.id or spawn.name or state.uuid()
        if (
            options.start_delay
            or options.id_conflict_policy == "terminate_existing"
            or self._env.is_elsewhere(child.place)
        ):
            self._reach(child)  # Temporal's children do not support these
            return
        self._seq += 1
        child.seq = self._seq
        self.pending[child.seq] = child
        start = state.add().start_child_workflow_execution
        start.seq = child.seq
        start.namespace = state.info.namespace
        start.workflow_id = child.id
        start.task_queue = child.queue
        put_child(start, spawn, child.type_name, state.pid, self._env.search)
        observer = self._env.deployment.observer
        if observer is not None:
            trace = observer.handed(child.type_name, state.trace, state.info.run_id)
            put_json(start.headers[TRACE], pack(trace))
        elif state.trace:
            put_json(start.headers[TRACE], pack(state.trace))
        self._facts.hand_on(start.headers, f"child {child.seq}")
        child.outlives = options.parent_close_policy == "abandon"

    def _reach(self, child: Child) -> None:
        """Start a workflow that is not a child, or join the one that is running."""
        self._refs.pop(child.ref, None)
        if child.spawn.exec:
            self._reached[child.ref] = child.pid
        self._system.start(child.ref, child.spawn, child.type_name, child.id, child.place, child.queue)

    def started(self, job: ResolveChildWorkflowExecutionStart) -> Callable[[], None]:
        """Note whether a child has been started. Return the function that notifies the program."""
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
            error = ErrorData(f"workflow {child.id} is running", ALREADY_EXISTS, False)
            self._settle(child, pack(Outcome(err=error)))
        else:
            self._reach(child)

    def ended(self, job: ResolveChildWorkflowExecution) -> Callable[[], None]:
        """Note how a child ended. Return the function that notifies the program."""
        child = self.pending.pop(job.seq)
        child.seq = 0
        return partial(self._ended, child, resolved(job.result))

    def _ended(self, child: Child, outcome: Json) -> None:
        if child.spawn.exec:
            self._settle(child, outcome)
            return
        monitored, self._monitored[child.pid] = self._monitored.get(child.pid), None
        if monitored:
            self._state.news()
            self._state.post(EXIT, 0, exit_body(child.pid, outcome))

    def _settle(self, child: Child, outcome: Json) -> None:
        self._refs.pop(child.ref, None)
        self._state.news()
        self._state.settle(child.ref, outcome)

    def cancel(self, ref: int, reason: str) -> bool:
        """Cancel an awaited child; return False when `ref` does not name one."""
        reached = self._reached.pop(ref, None)
        if reached is not None:
            self._system.cancel(ref, reached, reason)
            return True
        child = self._refs.get(ref)
        if child is None:
            return False
        if child.seq and not child.canceled:
            cancel = self._state.add().cancel_child_workflow_execution
            cancel.child_workflow_seq = child.seq
            cancel.reason = write_reason(self._state.pid, reason)
        child.canceled = True
        return True

    def settled(self) -> bool:
        """Whether the workflow may close: its end would drop the cancellation of a child that outlives it."""
        return not any(child.outlives and child.canceled for child in self.pending.values())

    # --- monitors -----------------------------------------------------------------------------

    def monitor(self, ref: int, ask: Ask) -> bool:
        """Monitor or unmonitor a running child; return False when the pid is not that of one.

        Another execution may run under the pid of a child that has ended.
        """
        if not self._watch(ask.to, ask.verb == "monitor"):
            return False
        self._state.settle(ref, b'{"ok":true}')
        return True

    def _watch(self, pid: str, monitored: bool) -> bool:
        if self._monitored.get(pid) is None:
            return False
        self._monitored[pid] = monitored
        return True


def exit_body(pid: str, outcome: Json) -> Json:
    """Return the body of an EXIT event."""
    end = msgspec.json.decode(outcome, type=Outcome)
    return pack(Exit(pid, end.ok, end.err))


def not_found(dest: str) -> ErrorData:
    return ErrorData(f"process {dest} not found", NOT_FOUND, False)
