"""Requests of workflows that need a process: carried out by Saros's own activities in a worker.

A process of another node is reached through that node's own task queue; everything else runs as a local
activity in the worker that has the workflow. Side effects are written into history the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
from temporalio.workflow import Info

from saros.model.errors import NOT_FOUND, TIMEOUT, ErrorData
from saros.model.execution import Pid, StartRequest, Watcher
from saros.model.records import (
    CANCEL,
    EXIT,
    MESSAGE,
    Ask,
    CallOptions,
    CancelRequest,
    Exit,
    Message,
    Outcome,
    RetryPolicy,
    Send,
    Spawn,
    pack,
)
from saros.model.values import Json

from ..wire.failures import watched
from ..wire.operations import (
    ASK,
    HEARTBEAT_S,
    OWN,
    SEND,
    SIDE_EFFECT,
    SPAWN,
    START,
    WATCH,
    Request,
    node_queue,
)
from .activity_port import Activity

_LOCAL: Final = CallOptions(start_to_close_timeout=20_000, retry_policy=RetryPolicy(maximum_interval=10_000))
_ON_NODE: Final = CallOptions(
    schedule_to_start_timeout=10_000, start_to_close_timeout=20_000, retry_policy=_LOCAL.retry_policy
)
_WATCH: Final = CallOptions(start_to_close_timeout=3650 * 86_400_000, heartbeat_timeout=HEARTBEAT_S * 1000)


class SystemState(Protocol):
    """The part of the workflow that they use; see `WorkflowState`."""

    info: Info
    pid: str

    def post(self, op: str, ref: int, body: Json) -> None: ...

    def settle(self, ref: int, outcome: Json) -> None: ...


class SystemCalls(Protocol):
    """The port that schedules and cancels activities."""

    def run(self, call: Activity) -> None: ...

    def stop(self, call: Activity) -> None: ...


class SystemActivities:
    """Schedules them for one workflow.

    :param log: writes a log record: its level, the message, and fields in JSON.
    :attr watch_child: monitors a running child by its pid, or no longer; False when the pid is not that of one.
    """

    def __init__(
        self, state: SystemState, activities: SystemCalls, log: Callable[[str, str, Json], None]
    ) -> None:
        self._state = state
        self._activities = activities
        self._log = log
        self._watches: dict[str, Activity] = {}
        self._starts: dict[int, str | None] = {}  # ref -> the reason to cancel it once it is started
        self._tells: dict[
            str, deque[tuple[int, Send]]
        ] = {}  # to processes: one at a time, to keep their order
        self._leaving = 0  # messages and requests in transit
        self.watch_child: Callable[[str, bool], bool] = lambda pid, monitored: False

    def ask(self, ref: int, ask: Ask) -> None:
        if ask.verb == "unmonitor" and self._unwatch(ask.to):
            self._state.settle(ref, b'{"ok":true}')
            return
        request = self._request(ref, ask=ask)
        pid = Pid.parse(ask.to)
        if pid is not None and not pid.is_workflow:
            self._on_node(ref, ASK, request, pid, ask.to)
        elif ask.verb in ("monitor", "unmonitor"):
            self._run(ASK, request, done=lambda outcome: self._monitor(ref, ask, outcome))
        elif ask.verb == "cancel":
            body = pack(CancelRequest(self._state.pid, ask.reason))
            self._run(ASK, request, ref, lambda outcome: self._sent(ref, outcome, CANCEL, body), lasts=True)
        else:
            self._run(ASK, request, ref, lasts=True)

    def _monitor(self, ref: int, ask: Ask, outcome: Json) -> None:
        """Watch a running target until it ends, or no longer."""
        found = msgspec.json.decode(outcome, type=Outcome)
        if found.err is None:
            pid = msgspec.json.decode(found.ok, type=str) if bytes(found.ok).startswith(b'"') else ask.to
            if ask.verb == "unmonitor":
                self._unwatch(pid)
                self.watch_child(pid, False)
            elif not self.watch_child(pid, True):
                self.watch(pid)
            outcome = b'{"ok":true}'
        self._state.settle(ref, outcome)

    def _unwatch(self, pid: str) -> bool:
        watch = self._watches.pop(pid, None)
        if watch is not None:
            self._activities.stop(watch)
        return watch is not None

    def watch(self, pid: str, ref: int = 0) -> None:
        """Deliver the end of another execution, as EXIT or as the outcome of command `ref`."""

        def done(outcome: Json) -> None:
            if ref:
                self._state.settle(ref, watched(outcome))
            elif self._watches.get(pid) is watch:
                del self._watches[pid]
                end = msgspec.json.decode(watched(outcome), type=Outcome)
                self._state.post(EXIT, 0, pack(Exit(pid, end.ok, end.err)))

        queue = self._state.info.task_queue
        request = Request(self._state.pid, pid=pid)
        watch = self._activity(WATCH, request, _WATCH, queue, done=done)
        if not ref:
            self._watches[pid] = watch
        self._activities.run(watch)

    def send(self, ref: int, send: Send, pid: Pid | None) -> None:
        request = self._request(ref, send=send)
        if pid is None:
            body = pack(Message(send.topic, self._state.pid, send.payloads))
            self._run(SEND, request, ref, lambda outcome: self._sent(ref, outcome, MESSAGE, body), lasts=True)
        else:
            self._on_node(ref, SEND, request, pid, send.to)

    def _sent(self, ref: int, outcome: Json, op: str, body: Json) -> None:
        """Settle a message or a cancel request. What the workflow sends to itself arrives before that."""
        if bytes(msgspec.json.decode(outcome, type=Outcome).ok) == OWN:
            self._state.post(op, 0, body)
            outcome = b'{"ok":true}'
        self._state.settle(ref, outcome)

    def settled(self) -> bool:
        """Whether the workflow may close: its end would drop messages and requests in transit."""
        return not self._tells and not self._leaving

    def tell(self, ref: int, send: Send) -> None:
        """Send to a process, after earlier messages to it; nothing waits for the result."""
        waiting = self._tells.get(send.to)
        if waiting is not None:
            waiting.append((ref, send))
            return
        self._tells[send.to] = deque()
        self._tell(ref, send)

    def _tell(self, ref: int, send: Send) -> None:
        def done(outcome: Json) -> None:
            error = msgspec.json.decode(outcome, type=Outcome).err
            if error is not None:
                text = f"the message {send.topic} to {send.to} was not delivered: {error.message}"
                self._log("warn", text, b"{}")
            waiting = self._tells[send.to]
            if waiting:
                self._tell(*waiting.popleft())
            else:
                del self._tells[send.to]

        pid = Pid.parse(send.to)
        request = pack(self._request(ref, send=send))
        queue = node_queue(pid.place if pid is not None else "")
        self._activities.run(Activity(SEND, b"[" + request + b"]", _ON_NODE, queue, done=done))

    def spawn(self, ref: int, spawn: Spawn) -> None:
        self._run(SPAWN, self._request(ref, spawn=spawn), ref)

    def start(self, ref: int, spawn: Spawn, type_name: str, id: str, place: str, queue: str) -> None:
        """Start a workflow that is not a Temporal child, or join the one that is running."""
        joins = spawn.options.id_conflict_policy != "terminate_existing"
        worker = "" if place == "default" else place
        start = StartRequest(
            id, spawn.entry, type_name, worker, queue, spawn.args, spawn.context, spawn.options, spawn.messages,
            spawn.name, watcher=Watcher(self._state.pid), request_id=self._key(ref),
        )  # fmt: skip

        def done(outcome: Json) -> None:
            found = msgspec.json.decode(outcome, type=Outcome)
            reason = self._starts.pop(ref)
            if found.err is not None:
                self._state.settle(ref, outcome)
                return
            pid = str(Pid(place, id))
            if reason is not None:
                self.cancel(ref, pid, reason)
            if spawn.exec:
                self.watch(pid, ref)
                return
            self._state.settle(ref, b'{"ok":' + pack(pid) + b"}")
            if spawn.monitor and not (joins and self.watch_child(pid, True)):
                self.watch(pid)

        self._starts[ref] = None
        self._run(START, self._request(ref, start=start), done=done)

    def cancel(self, ref: int, pid: str, reason: str) -> None:
        """Cancel the execution that the command `ref` has started."""
        if ref in self._starts:
            self._starts[ref] = reason
        else:
            ask = Ask("cancel", pid, reason=reason)
            self._run(ASK, Request(self._state.pid, f"{self._key(ref)}:cancel", ask))

    def record(self, ref: int, value: Json) -> None:
        """Record a value: a local activity returns its argument, and a replay gets the recorded result."""
        self._activities.run(Activity(SIDE_EFFECT, b"[" + value + b"]", _LOCAL, ref=ref))

    # --- details ------------------------------------------------------------------------------

    def _key(self, ref: int) -> str:
        return f"{self._state.info.run_id}:{ref}"

    def _request(
        self,
        ref: int,
        *,
        ask: Ask | None = None,
        send: Send | None = None,
        spawn: Spawn | None = None,
        start: StartRequest | None = None,
    ) -> Request:
        watches = ask.verb == "monitor" if ask is not None else spawn is not None and spawn.monitor
        run_id = self._state.info.run_id if watches else ""
        return Request(self._state.pid, self._key(ref), ask, send, spawn, start, run_id=run_id)

    def _activity(
        self,
        name: str,
        request: Request,
        options: CallOptions = _LOCAL,
        queue: str = "",
        ref: int = 0,
        done: Callable[[Json], None] | None = None,
    ) -> Activity:
        return Activity(name, b"[" + pack(request) + b"]", options, queue, ref=ref, done=done)

    def _run(
        self,
        name: str,
        request: Request,
        ref: int = 0,
        done: Callable[[Json], None] | None = None,
        *,
        lasts: bool = False,
    ) -> None:
        call = self._activity(name, request, ref=ref, done=done)
        self._activities.run(self._lasting(call) if lasts else call)

    def _lasting(self, call: Activity) -> Activity:
        """Let the end of the workflow wait for an activity."""
        settle = call.done or (lambda outcome: self._state.settle(call.ref, outcome))

        def done(outcome: Json) -> None:
            self._leaving -= 1
            settle(outcome)

        self._leaving += 1
        call.done, call.lasts = done, True
        return call

    def _on_node(self, ref: int, name: str, request: Request, pid: Pid, dest: str) -> None:
        def done(outcome: Json) -> None:
            error = msgspec.json.decode(outcome, type=Outcome).err
            if error is not None and error.kind == TIMEOUT:  # the node is gone
                outcome = pack(Outcome(err=ErrorData(f"process {dest} not found", NOT_FOUND, False)))
            self._state.settle(ref, outcome)

        call = self._activity(name, request, _ON_NODE, node_queue(pid.place), done=done)
        self._activities.run(self._lasting(call))
