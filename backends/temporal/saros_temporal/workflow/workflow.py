"""One workflow in the cache of a worker: its program, and the parts that carry out its commands.

The program gets one job of an activation at a time. Activations are not units of history: jobs that came in two of
them when the workflow ran (local activities) may come in one when it is replayed.
"""

from __future__ import annotations

import logging

import msgspec
from temporalio.bridge.proto.workflow_activation import (
    InitializeWorkflow,
    QueryWorkflow,
    SignalWorkflow,
    UpdateRandomSeed,
    WorkflowActivation,
)
from temporalio.worker import WorkflowInstanceDetails

from saros.interfaces.observer import tell_closed
from saros.interfaces.program import Inspection, Ports, Program, dispatch
from saros.model.errors import INTERNAL, Error, ErrorData
from saros.model.records import (
    CANCEL,
    MESSAGE,
    QUERY,
    UPDATE,
    Answer,
    CancelRequest,
    ContinueAsNew,
    Event,
    HandlerCall,
    Message,
    pack,
    unpack,
)
from saros.model.values import Json, error_data

from ..wire.failures import GONE
from ..wire.payloads import read_reason
from ..wire.start_requests import Late
from .activity_port import ActivityPort
from .children import Children
from .facts import WorkflowFacts
from .handlers import Updates, answer_query
from .history_port import HistoryPort
from .signal_port import SignalPort
from .system_activities import SystemActivities
from .timer_port import TimerPort
from .workflow_input import event_of, read_start
from .workflow_state import Environment, Sink, WorkflowState

log = logging.getLogger("saros.temporal")


class Workflow:
    """Puts the parts of one workflow together, and runs its program.

    :param env: what the workflows of its worker share.
    """

    def __init__(self, env: Environment, det: WorkflowInstanceDetails) -> None:
        self._env = env
        self._state = state = WorkflowState(env.place, det, self._wake)
        self.info = det.info
        self.facts = WorkflowFacts(state, env)
        self.timers = TimerPort(state)
        self.activities = ActivityPort(state, env, self.timers)
        self._system = SystemActivities(state, self.activities, self.facts.log)
        self.children = Children(state, env, self.facts, self._system, self.activities)
        self.signals = SignalPort(state, env, self.children, self._system, self.activities)
        self.updates = Updates(state)
        self._history = HistoryPort(state, env, self.facts, self.updates, self._system)
        self._ports = Ports(self._history, self.timers, self.signals, self.activities)
        self._program: Program | None = None
        self._started = False
        self._running = False
        self._cancel_heard = False  # the server's request to cancel this run; there is only one
        self.ended = ""  # the status of the run, once it is closed

    @property
    def trace(self) -> str:
        """See `saros.interfaces.observer.Closed`."""
        return self._state.trace

    def begin(self, act: WorkflowActivation, sink: Sink) -> None:
        """Take the facts of an activation, and send commands to `sink` from here on."""
        next_task = self.facts.begin(act.is_replaying, act.history_length, act.history_size_bytes)
        self._state.begin(act, sink, next_task)

    def drop(self) -> None:
        """Free the program; none of its code runs."""
        program, self._program = self._program, None
        if program is not None:
            program.close()

    def __del__(self) -> None:
        self.drop()

    # --- jobs ---------------------------------------------------------------------------------

    def start(self, job: InitializeWorkflow) -> None:
        """:raises CodeError: when the app has no such workflow, or its code cannot be loaded."""
        state, entry = self._state, self._env.workflow(self.info.workflow_type)
        self._started = True
        self.facts.name = f"{entry.id} {self.info.workflow_id}"
        self.facts.about["entry"] = entry.id
        if not self.facts.replaying:
            log.debug("%s starts", self.facts.name, extra=self.facts.about)
        try:
            start = read_start(job, entry, state, self.facts.patched)
        except Error as error:  # a starter in another language sent invalid data
            state.ending = error_data(error)
            return
        self.facts.given = start.secret
        state.trace = start.trace
        self._history.starter = start.starter
        self._program = self._env.program(entry, self.facts)
        state.canceled = state.canceled or start.canceled
        self._cancel_heard = start.takes_no_other
        state.queue[:0] = start.events
        self._pump()

    def signal(self, job: SignalWorkflow) -> None:
        self._state.news()
        event = event_of(job, self.info)
        if event is not None:
            self._state.post(*event)

    def cancel(self, reason: str) -> None:
        if not self._cancel_heard:
            self._cancel_heard = self._state.canceled = True
            self._state.news()
            sender, text = read_reason(reason)
            self._state.post(CANCEL, 0, pack(CancelRequest(sender, text)))

    def reseed(self, job: UpdateRandomSeed) -> None:
        """Start new random numbers: the run has been reset."""
        self._state.reseed(job.randomness_seed)
        self.facts.reseed()

    # --- the program --------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._started and not self._running:
            self._pump()

    def _pump(self) -> None:
        """Deliver the events of the queue, and carry out the commands that they cause."""
        state = self._state
        if state.ending is not None:
            return
        program, facts, ports = self._program, self.facts, self._ports
        if program is None:
            raise Error("the program failed while it answered a query; a replay makes it anew", INTERNAL)
        self._running = True
        try:
            while state.queue and state.ending is None:
                events, state.queue = state.queue, []
                outputs = program.advance(events)
                state.queue[:0] = events[len(outputs) :]  # those that a closed program did not take
                for event, commands in zip(events, outputs, strict=False):
                    facts.count(event.body)
                    for command in commands:
                        facts.count(command.body)
                        dispatch(command, ports)
        finally:
            self._running = False

    def query(self, name: str, args: Json) -> Answer:
        """Query the program.

        :raises Error: when the program fails; it is then dropped.
        """
        if self._program is None:
            return Answer("query", err=GONE)
        body = pack(HandlerCall("query", name, msgspec.Raw(args)))
        try:
            outputs = self._program.advance([Event(QUERY, 0, body, self._state.now)])
        except Error:
            self.drop()
            raise
        for commands in outputs:
            for command in commands:
                dispatch(command, self._ports)
        return self._history.take_answer() or Answer("query")

    def answer(self, job: QueryWorkflow) -> None:
        """Append the command that answers a query."""
        answer_query(self, job, self._state.add().respond_to_query)

    def inspect(self) -> Inspection:
        """Return the program's handlers, and where it waits."""
        return Inspection() if self._program is None else self._program.inspect()

    # --- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Append the closing command, if the program has ended and nothing delays it."""
        ending, queue = self._state.ending, self._state.queue
        if (
            ending is None
            or self._history.closed
            or not self.activities.settled()
            or not self.signals.settled()
        ):
            return
        continues = isinstance(ending, ContinueAsNew)
        late_updates = (
            unpack(event.body, HandlerCall) for event in queue if event.op == UPDATE and continues
        )
        self.updates.end({call.id for call in late_updates})
        messages = [msgspec.json.decode(event.body, type=Message) for event in queue if event.op == MESSAGE]
        cancels = [unpack(event.body, CancelRequest) for event in queue if event.op == CANCEL]
        self.ended = self._history.close(ending, Late(messages, cancels))
        if not self.facts.replaying:
            failure = ending if isinstance(ending, ErrorData) else None
            tell_closed(log, {"entry": self.info.workflow_type, **self.facts.about}, self.ended, failure)
            self.drop()  # a replay to the end is for a query, which is still to come
