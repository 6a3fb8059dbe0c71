"""The ports of activities and timers: what is under way at Temporal, by its number.

Numbers are ids in the history. All kinds have their own, from 1, in the order in which commands are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from temporalio.bridge.proto.activity_result import DoBackoff
from temporalio.bridge.proto.workflow_activation import FireTimer, ResolveActivity

from saros.model.errors import INVALID, ErrorData
from saros.model.raw import Raw
from saros.model.records import Call, CallOptions
from saros.model.values import Json

from .commands import activity, local_activity, put_backoff, put_call
from .failures import CANCELED_OUTCOME, resolved
from .handover import check

if TYPE_CHECKING:
    from .execution import Execution

NS: Final = 1_000_000_000
MIN_TIMER_NS: Final = 1_000_000

LOCAL_IN_A_ROW: Final = 100
"""After so many local activities without any news from the server the workflow task is to end, so that the
history is written, and the server knows that the worker lives."""


class Timers:
    """Durable timers of one workflow."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._seq = 0
        self._refs: dict[int, int] = {}  # ref of the command -> number
        self._waiting: dict[int, Callable[[], None]] = {}  # by number

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self, ref: int, ns: int) -> None:
        self._refs[ref] = self.after(max(ns, MIN_TIMER_NS), partial(self._settle, ref))

    def after(self, ns: int, work: Callable[[], None]) -> int:
        """Start a timer of the backend's own, and give its number."""
        self._seq += 1
        timer = self._execution.add().start_timer
        timer.seq = self._seq
        timer.start_to_fire_timeout.seconds, timer.start_to_fire_timeout.nanos = divmod(ns, NS)
        self._waiting[self._seq] = work
        return self._seq

    def fired(self, job: FireTimer) -> Callable[[], None] | None:
        """Hear of a timer; one that was stopped just now is gone. Gives what carries on after it."""
        return self._waiting.pop(job.seq, None)

    def _settle(self, ref: int) -> None:
        if self._refs.pop(ref, None) is not None:
            self._execution.calls.news()
            self._execution.settle(ref, b"{}")

    def cancel(self, ref: int) -> bool:
        seq = self._refs.pop(ref, None)
        if seq is None:
            return False
        self.stop(seq)
        return True

    def stop(self, seq: int) -> None:
        """Cancel a timer, unless it has fired."""
        if self._waiting.pop(seq, None) is not None:
            self._execution.add().cancel_timer.seq = seq


@dataclass(slots=True, eq=False)
class Activity:
    """One call of a function, which may take several of Temporal's local activities."""

    name: str
    args: Json | Raw
    options: CallOptions
    queue: str = ""  # empty for a local activity
    context: Json | Raw = b"{}"
    ref: int = 0  # of the command that it settles; if 0, `done` is called
    done: Callable[[Json], None] | None = None
    seq: int = 0  # 0 while it is not with Temporal
    sent: int = 0  # number of the workflow task that sent it
    timer: int = 0  # of the wait before the next attempt
    stopped: bool = False

    @property
    def id(self) -> str:
        return self.options.id or str(self.seq)


class Calls:
    """Activities of one workflow."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._seq = 0
        self._refs: dict[int, Activity] = {}
        self._held: list[Activity] = []  # local activities that wait for the next workflow task
        self.pending: dict[int, Activity] = {}  # by number
        self._in_a_row = 0

    def schedule(self, ref: int, call: Call) -> None:
        execution = self._execution
        if not execution.fits(ref, len(call.args)):
            return
        deployment, options = execution.env.deployment, call.options
        entry = deployment.registry.get(call.target)
        queue = ""
        if not deployment.registry.is_local(entry, options):
            worker = (entry.worker if entry and not options.task_queue else None) or ""
            if execution.env.is_elsewhere(worker):
                text = f"{call.target} runs on {worker}, which has another temporal.client: no activity gets there"
                execution.refuse(ref, ErrorData(text, INVALID, False))
                return
            queue = deployment.registry.activity_queue(entry, options, execution.info.task_queue)
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
        execution = self._execution
        self._seq += 1
        seq = call.seq = self._seq
        call.sent = execution.task
        self.pending[seq] = call
        command = execution.add()
        if call.queue:
            remote = command.schedule_activity
            remote.CopyFrom(activity(call.name, call.options, call.queue))
            remote.do_not_eagerly_execute = execution.no_eager_calls or call.options.disable_eager_execution
            put_call(remote, seq, call.args, call.context)
        else:
            local = command.schedule_local_activity
            local.CopyFrom(local_activity(call.name, call.options))
            put_call(local, seq, call.args, call.context)
            if backoff is not None:
                put_backoff(local, backoff)

    # --- the end ------------------------------------------------------------------------------

    def resolved(self, job: ResolveActivity) -> Callable[[], None]:
        """Hear how an activity ended, or that its next attempt is far off. Gives what carries on after it."""
        check(job.result)
        call = self.pending.pop(job.seq)
        result, call.seq = job.result, 0
        if result.HasField("backoff"):
            return partial(self._wait, call, result.backoff)
        return partial(self._ended, call, resolved(result))

    def _ended(self, call: Activity, outcome: Json) -> None:
        self._in_a_row = 0 if call.queue else self._in_a_row + 1
        self._tell(call, outcome)

    def _tell(self, call: Activity, outcome: Json) -> None:
        self._refs.pop(call.ref, None)
        if call.done is not None:
            call.done(outcome)
        elif call.ref:
            self._execution.settle(call.ref, outcome)

    def _wait(self, call: Activity, backoff: DoBackoff) -> None:
        if call.stopped:
            self._tell(call, CANCELED_OUTCOME)
            return
        wait = backoff.backoff_duration
        call.timer = self._execution.timers.after(
            wait.seconds * NS + wait.nanos, partial(self._again, call, backoff)
        )

    def _again(self, call: Activity, backoff: DoBackoff) -> None:
        call.timer = 0
        if not call.stopped:
            self._send(call, backoff)

    # --- cancelling ---------------------------------------------------------------------------

    def cancel(self, ref: int) -> bool:
        call = self._refs.get(ref)
        if call is None:
            return False
        self.stop(call)
        return True

    def stop(self, call: Activity) -> None:
        """Cancel an activity, wherever it is; its end is told as usual."""
        if call.stopped:
            return
        call.stopped = True
        if call in self._held:
            self._held.remove(call)
            self._tell(call, CANCELED_OUTCOME)
        elif call.timer:
            self._stop_waiting(call)
        elif call.seq:
            if call.options.wait_for_cancellation and call.sent == self._execution.task:
                self._tell(call, CANCELED_OUTCOME)  # it never begins
                call.ref, call.done = 0, None
            self._request(call)

    def settled(self) -> bool:
        """Whether the workflow may close: local activities that are under way are cancelled before.

        Otherwise one that ends at that moment would be recorded after the closing command, which the server
        refuses; the workflow's last task would fail again and again.
        """
        running = [call for call in self.pending.values() if not call.queue]
        for call in running:
            if not call.stopped:
                call.stopped = True
                self._request(call)
        return not running

    def _stop_waiting(self, call: Activity) -> None:
        self._execution.timers.stop(call.timer)
        call.timer = 0
        self._tell(call, CANCELED_OUTCOME)

    def _request(self, call: Activity) -> None:
        command = self._execution.add()
        if call.queue:
            command.request_cancel_activity.seq = call.seq
        else:
            command.request_cancel_local_activity.seq = call.seq

    # --- breaks -------------------------------------------------------------------------------

    def _must_break(self) -> bool:
        """Whether a local activity has to wait for another workflow task.

        The server hears nothing of a task that goes on and on.
        """
        if self._held:
            return True
        if self._in_a_row < LOCAL_IN_A_ROW:
            return False
        self._execution.timers.after(MIN_TIMER_NS, self._release)
        return True

    def news(self) -> None:
        """Note that the program hears of something else than a local activity."""
        self._in_a_row = 0

    def _release(self) -> None:
        self.news()
        held, self._held = self._held, []
        for call in held:
            self._send(call)
