"""The port of signals: children, messages, and requests about other executions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from temporalio.bridge.proto.workflow_activation import ResolveSignalExternalWorkflow
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.workflow import Info

from saros.model.errors import Error, ErrorData
from saros.model.execution import Pid
from saros.model.records import CANCEL, MESSAGE, Ask, CancelRequest, Message, Outcome, Send, Spawn, pack
from saros.model.values import Json

from ..wire.commands import put_signal
from ..wire.failures import CANCELED_OUTCOME
from .children import Children, not_found
from .system_activities import SystemActivities
from .workflow_state import Environment


@dataclass(slots=True, eq=False)
class Signal:
    """A message in transit to another workflow."""

    ref: int
    send: Send
    target: str  # workflow id
    seq: int = 0
    canceled: bool = False


class SignalState(Protocol):
    """The part of the workflow that signals use; see `WorkflowState`."""

    info: Info
    pid: str

    def add(self) -> WorkflowCommand: ...

    def fits(self, ref: int, size: int) -> bool: ...

    def post(self, op: str, ref: int, body: Json) -> None: ...

    def settle(self, ref: int, outcome: Json) -> None: ...

    def refuse(self, ref: int, error: Error | ErrorData) -> None: ...

    def news(self) -> None: ...


class SpawnedCalls(Protocol):
    """Calls that a SPAWN command has made."""

    def cancel(self, ref: int) -> None: ...


class SignalPort:
    """See `saros.interfaces.signals.Signals`."""

    def __init__(
        self,
        state: SignalState,
        env: Environment,
        children: Children,
        system: SystemActivities,
        activities: SpawnedCalls,
    ) -> None:
        self._state = state
        self._env = env
        self._children = children
        self._system = system
        self._activities = activities
        self._refs: dict[int, Signal] = {}  # whose command is not settled
        self._seq = 0
        self.pending: dict[int, Signal] = {}  # by number
        # By target, those behind one in transit: the server carries out signals of the same task in any order.
        self._lanes: dict[str, deque[Signal]] = {}

    def spawn(self, ref: int, spawn: Spawn) -> None:
        self._children.spawn(ref, spawn)

    def cancel(self, ref: int, reason: str) -> None:
        if not (self._children.cancel(ref, reason) or self._cancel_signal(ref)):
            self._activities.cancel(ref)  # a request to a process, which is an activity

    def settled(self) -> bool:
        """Whether the workflow may close: its end would drop messages in transit."""
        return not self._lanes and self._children.settled() and self._system.settled()

    # --- messages -----------------------------------------------------------------------------

    def send(self, ref: int, send: Send) -> None:
        state = self._state
        if not state.fits(ref, len(send.payloads)):
            return
        pid = Pid.parse(send.to)
        if send.to == state.pid:
            # As on the other backends, a request about oneself is done once it has reached the program.
            state.post(MESSAGE, 0, pack(Message(send.topic, state.pid, send.payloads)))
            state.settle(ref, b'{"ok":true}')
        elif pid is None or not pid.is_workflow:
            self._system.send(ref, send, pid)
        elif self._env.is_elsewhere(pid.place):
            self._system.send(ref, send, None)
        else:
            signal = self._refs[ref] = Signal(ref, send, pid.id)
            behind = self._lanes.get(pid.id)
            if behind is not None:
                behind.append(signal)
            else:
                self._lanes[pid.id] = deque()
                self._signal(signal)

    def tell(self, ref: int, send: Send) -> None:
        if self._state.fits(0, len(send.payloads)):
            self._system.tell(ref, send)

    def _signal(self, signal: Signal) -> None:
        state, send = self._state, signal.send
        self._seq += 1
        signal.seq = self._seq
        self.pending[signal.seq] = signal
        run_id = state.info.run_id if self._env.deployment.observer is not None else ""
        message = Message(send.topic, state.pid, send.payloads, trace=run_id)
        command = state.add().signal_external_workflow_execution
        command.seq = signal.seq
        put_signal(command, state.info.namespace, signal.target, message)

    def signaled(self, job: ResolveSignalExternalWorkflow) -> Callable[[], None]:
        """Note whether a message has reached its workflow. Return the function that notifies the program."""
        signal = self.pending.pop(job.seq)
        signal.seq = 0
        outcome = b'{"ok":true}'
        if job.HasField("failure"):
            outcome = CANCELED_OUTCOME if signal.canceled else pack(Outcome(err=not_found(signal.send.to)))
        return partial(self._settle, signal, outcome)

    def _settle(self, signal: Signal, outcome: Json) -> None:
        behind = self._lanes[signal.target]
        if behind:
            self._signal(behind.popleft())
        else:
            del self._lanes[signal.target]
        self._refs.pop(signal.ref, None)
        self._state.news()
        self._state.settle(signal.ref, outcome)

    def _cancel_signal(self, ref: int) -> bool:
        signal = self._refs.get(ref)
        if signal is None:
            return False
        if signal in self._lanes[signal.target]:
            self._lanes[signal.target].remove(signal)
            del self._refs[ref]
            self._state.settle(ref, CANCELED_OUTCOME)
        elif signal.seq and not signal.canceled:
            self._state.add().cancel_signal_workflow.seq = signal.seq
        signal.canceled = True
        return True

    # --- requests -----------------------------------------------------------------------------

    def ask(self, ref: int, ask: Ask) -> None:
        state = self._state
        if ask.to == state.pid and ask.verb == "cancel":
            state.post(CANCEL, 0, pack(CancelRequest(state.pid, ask.reason)))
            state.settle(ref, b'{"ok":true}')
        elif ask.verb not in ("monitor", "unmonitor") or not self._children.monitor(ref, ask):
            self._system.ask(ref, ask)
