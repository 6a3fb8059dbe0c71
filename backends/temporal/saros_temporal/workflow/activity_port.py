"""The port of activities: what is under way at Temporal, by its number (see `saros_temporal.workflow.timer_port`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from temporalio.bridge.proto.activity_result import ActivityResolution, DoBackoff
from temporalio.bridge.proto.workflow_activation import ResolveActivity
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.workflow import Info

from saros.model.errors import INVALID, UNAVAILABLE, Error, ErrorData
from saros.model.raw import Raw
from saros.model.records import Call, CallOptions
from saros.model.values import Json

from ..wire.commands import NS, activity, local_activity, put_backoff, put_call
from ..wire.failures import CANCELED_OUTCOME, resolved
from ..wire.operations import HANDED_OVER
from .timer_port import MIN_TIMER_NS
from .workflow_state import Environment

LOCAL_IN_A_ROW: Final = 100
"""After so many local activities without any news from the server, the workflow task ends, so that the
history is written, and the server knows that the worker lives."""


@dataclass(slots=True, eq=False)
class Activity:
    """One call of a function, which may take several of Temporal's local activities."""

    name: str
    args: Json | Raw
    options: CallOptions
    queue: str = ""  # empty for a local activity
    context: Json | Raw = b"{}"
    ref: int = 0  # of the command that it settles, unless `done` does
    done: Callable[[Json], None] | None = None
    lasts: bool = False  # the end of the workflow waits for it
    seq: int = 0  # 0 while it is not with Temporal
    sent: int = 0  # number of the workflow task that sent it
    timer: int = 0  # of the wait before the next attempt
    stopped: bool = False

    @property
    def id(self) -> str:
        return self.options.id or str(self.seq)


class ActivityState(Protocol):
    """The part of the workflow that activities use; see `WorkflowState`."""

    info: Info
    trace: str
    task: int
    no_eager_activities: bool
    local_in_a_row: int

    def add(self) -> WorkflowCommand: ...

    def fits(self, ref: int, size: int) -> bool: ...

    def settle(self, ref: int, outcome: Json) -> None: ...

    def refuse(self, ref: int, error: Error | ErrorData) -> None: ...

    def news(self) -> None: ...


class Delays(Protocol):
    """Timers of the backend's own."""

    def after(self, ns: int, work: Callable[[], None]) -> int: ...

    def stop(self, seq: int) -> None: ...


class ActivityPort:
    """Activities of one workflow; see `saros.interfaces.activities.Activities`."""

    def __init__(self, state: ActivityState, env: Environment, timers: Delays) -> None:
        self._state = state
        self._env = env
        self._timers = timers
        self._seq = 0
        self._refs: dict[int, Activity] = {}
        self._held: list[Activity] = []  # local activities that wait for the next workflow task
        self.pending: dict[int, Activity] = {}  # by number

    def schedule(self, ref: int, call: Call) -> None:
        state, registry, options = self._state, self._env.deployment.registry, call.options
        if not state.fits(ref, len(call.args)):
            return
        entry = registry.get(call.target)
        queue = ""
        if not registry.is_local(entry, options):
            worker = (entry.worker if entry and not options.task_queue else None) or ""
            if self._env.is_elsewhere(worker):
                text = f"{call.target} runs on {worker}, which has another temporal.client: no activity gets there"
                state.refuse(ref, ErrorData(text, INVALID, False))
                return
            queue = registry.activity_queue(entry, options, state.info.task_queue)
        self.run(Activity(call.target, call.args, options, queue, call.context, ref))

    def run(self, call: Activity) -> None:
        """Schedule an activity."""
        if call.ref:
            self._refs[call.ref] = call
        if not call.queue and self._must_break():
            self._held.append(call)
            return
        self._send(call)

    def _send(self, call: Activity, backoff: DoBackoff | None = None) -> None:
        state = self._state
        self._seq += 1
        seq = call.seq = self._seq
        call.sent = state.task
        self.pending[seq] = call
        command = state.add()
        if call.queue:
            remote = command.schedule_activity
            remote.CopyFrom(activity(call.name, call.options, call.queue))
            remote.do_not_eagerly_execute = state.no_eager_activities or call.options.disable_eager_execution
            put_call(remote, seq, call.args, call.context, state.trace)
        else:
            local = command.schedule_local_activity
            local.CopyFrom(local_activity(call.name, call.options))
            put_call(local, seq, call.args, call.context, state.trace)
            if backoff is not None:
                put_backoff(local, backoff)

    # --- the end ------------------------------------------------------------------------------

    def resolved(self, job: ResolveActivity) -> Callable[[], None]:
        """Note how an activity ended, or that its next attempt is far off. Return its continuation."""
        _check(job.result)
        call = self.pending.pop(job.seq)
        result, call.seq = job.result, 0
        if result.HasField("backoff"):
            return partial(self._wait, call, result.backoff)
        return partial(self._ended, call, resolved(result))

    def _ended(self, call: Activity, outcome: Json) -> None:
        self._state.local_in_a_row = 0 if call.queue else self._state.local_in_a_row + 1
        self._tell(call, outcome)

    def _tell(self, call: Activity, outcome: Json) -> None:
        self._refs.pop(call.ref, None)
        if call.done is not None:
            call.done(outcome)
        elif call.ref:
            self._state.settle(call.ref, outcome)

    def _wait(self, call: Activity, backoff: DoBackoff) -> None:
        if call.stopped:
            self._tell(call, CANCELED_OUTCOME)
            return
        wait = backoff.backoff_duration
        call.timer = self._timers.after(wait.seconds * NS + wait.nanos, partial(self._again, call, backoff))

    def _again(self, call: Activity, backoff: DoBackoff) -> None:
        call.timer = 0
        if not call.stopped:
            self._send(call, backoff)

    # --- cancelling ---------------------------------------------------------------------------

    def cancel(self, ref: int) -> None:
        call = self._refs.get(ref)
        if call is not None:
            self.stop(call)

    def stop(self, call: Activity) -> None:
        """Cancel an activity in any state; its end is reported as usual."""
        if call.stopped:
            return
        call.stopped = True
        if call in self._held:
            self._held.remove(call)
            self._tell(call, CANCELED_OUTCOME)
        elif call.timer:
            self._stop_waiting(call)
        elif call.seq:
            if call.options.wait_for_cancellation and call.sent == self._state.task:
                self._tell(call, CANCELED_OUTCOME)  # it never starts
                call.ref, call.done = 0, None
            self._request(call)

    def settled(self) -> bool:
        """Whether the workflow may close: running local activities are cancelled first, unless they last.

        Otherwise one that ends at that moment would be recorded after the closing command, which the server
        refuses; the workflow's last task would fail again and again.
        """
        running = [call for call in self.pending.values() if not call.queue]
        for call in running:
            if not call.stopped and not call.lasts:
                call.stopped = True
                self._request(call)
        return not running

    def _stop_waiting(self, call: Activity) -> None:
        self._timers.stop(call.timer)
        call.timer = 0
        self._tell(call, CANCELED_OUTCOME)

    def _request(self, call: Activity) -> None:
        command = self._state.add()
        if call.queue:
            command.request_cancel_activity.seq = call.seq
        else:
            command.request_cancel_local_activity.seq = call.seq

    # --- breaks -------------------------------------------------------------------------------

    def _must_break(self) -> bool:
        """Whether a local activity must wait for another workflow task.

        Otherwise the task could continue without end, and the server would learn nothing of it.
        """
        if self._held:
            return True
        if self._state.local_in_a_row < LOCAL_IN_A_ROW:
            return False
        self._timers.after(MIN_TIMER_NS, self._release)
        return True

    def _release(self) -> None:
        self._state.news()
        held, self._held = self._held, []
        for call in held:
            self._send(call)


class HandedOver(Error):
    """Fails a workflow task one of whose local activities has not ended before the worker did."""

    def __init__(self) -> None:
        super().__init__(
            "its worker is stopping; the next one starts its local activities again", UNAVAILABLE
        )


def _check(result: ActivityResolution) -> None:
    """:raises HandedOver: when the activity ended only because its worker stops."""
    if result.failed.failure.application_failure_info.type == HANDED_OVER:
        raise HandedOver
