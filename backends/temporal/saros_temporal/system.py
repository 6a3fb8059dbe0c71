"""Requests of workflows that need a process: carried out by Saros's own activities in a worker.

A process of another node is reached through that node's own task queue; everything else runs as a local
activity in the worker that has the workflow. Side effects are written into history the same way.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.workflow import ActivityCancellationType

from saros.errors import NOT_FOUND, ErrorData
from saros.execution import Pid, StartRequest, Watcher
from saros.program import EXIT, Ask, CallOptions, Outcome, RetryPolicy, Send, Spawn, StartOptions, pack
from saros.values import Json

from .calls import retry_policy, start_local
from .payloads import to_payload

if TYPE_CHECKING:
    from .driver import Driver

PREFIX: Final = "saros."
ASK: Final = "saros.ask"
SEND: Final = "saros.send"
SPAWN: Final = "saros.spawn"
START: Final = "saros.start"
WATCH: Final = "saros.watch"
RECORD: Final = "saros.side_effect"

_LOCAL: Final = CallOptions(start_to_close_timeout=20_000, retry_policy=RetryPolicy(maximum_interval=10_000))
_NODE_PATIENCE: Final = timedelta(seconds=10)
HEARTBEAT: Final = timedelta(seconds=60)


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """The argument of each of these activities. `key` makes a repeated request harmless."""

    sender: str
    key: str = ""
    ask: Ask | None = None
    send: Send | None = None
    spawn: Spawn | None = None
    start: StartRequest | None = None
    pid: str = ""
    run_id: str = ""


class System:
    """Schedules them for one workflow."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._watches: dict[str, workflow.ActivityHandle[RawValue]] = {}

    def ask(self, ref: int, ask: Ask) -> None:
        if ask.verb == "unmonitor":
            watch = self._watches.pop(ask.to, None)
            if watch is not None:
                watch.cancel()
                self._driver.settle(ref, b'{"ok":true}')
                return
        request = self._request(ref, ask=ask)
        pid = Pid.parse(ask.to)
        if pid is not None and not pid.is_workflow:
            self._on_node(ref, ASK, request, pid, ask.to)
        elif ask.verb == "monitor":
            self._driver.calls.watch(0, self._local(ASK, request), done=lambda o: self._monitor(ref, ask, o))
        else:
            self._driver.calls.watch(ref, self._local(ASK, request))

    def _monitor(self, ref: int, ask: Ask, outcome: Json) -> None:
        """The target runs: watch it until it ends."""
        found = msgspec.json.decode(outcome, type=Outcome)
        if found.err is None:
            pid = msgspec.json.decode(found.ok, type=str) if bytes(found.ok).startswith(b'"') else ask.to
            self.watch(ask.to, pid)
            outcome = b'{"ok":true}'
        self._driver.settle(ref, outcome)

    def watch(self, name: str, pid: str, ref: int = 0) -> None:
        """Deliver the end of another execution, as EXIT or as the outcome of command `ref`."""
        handle: workflow.ActivityHandle[RawValue] = workflow.start_activity(
            WATCH,
            RawValue(to_payload(pack(Request(self._driver.pid, pid=pid)))),
            result_type=RawValue,
            start_to_close_timeout=timedelta(days=3650),
            heartbeat_timeout=HEARTBEAT,
            cancellation_type=ActivityCancellationType.TRY_CANCEL,
        )

        def done(outcome: Json) -> None:
            if ref:
                self._driver.settle(ref, _inner(outcome))
            elif self._watches.pop(name, None) is handle:
                end = msgspec.json.decode(_inner(outcome), type=Outcome)
                self._driver.post(EXIT, 0, _exit(pid, end))

        if not ref:
            self._watches[name] = handle
        self._driver.calls.watch(0, handle, done=done)

    def send(self, ref: int, send: Send, pid: Pid | None) -> None:
        request = self._request(ref, send=send)
        if pid is None:
            self._driver.calls.watch(ref, self._local(SEND, request))
        else:
            self._on_node(ref, SEND, request, pid, send.to)

    def spawn(self, ref: int, spawn: Spawn) -> None:
        self._driver.calls.watch(ref, self._local(SPAWN, self._request(ref, spawn=spawn)))

    def start(self, ref: int, spawn: Spawn, type_name: str, id: str, place: str, queue: str) -> None:
        """Start a workflow that is no child in Temporal's sense, or reach the one that runs already."""
        options: StartOptions = spawn.options
        worker = "" if place == "default" else place
        start = StartRequest(
            id, spawn.entry, type_name, worker, queue, spawn.args, spawn.context, options, spawn.messages,
            spawn.name, watcher=Watcher(self._driver.pid), request_id=self._key(ref),
        )  # fmt: skip

        def done(outcome: Json) -> None:
            found = msgspec.json.decode(outcome, type=Outcome)
            if found.err is not None:
                self._driver.settle(ref, outcome)
                return
            pid = str(Pid(place, id))
            if spawn.exec:
                self.watch(pid, pid, ref)
                return
            self._driver.settle(ref, b'{"ok":' + pack(pid) + b"}")
            if spawn.monitor:
                self.watch(pid, pid)

        self._driver.calls.watch(0, self._local(START, self._request(ref, start=start)), done=done)

    def record(self, ref: int, value: Json) -> None:
        """A local activity gives its argument back; a replay gets what it gave the first time."""
        self._driver.calls.watch(ref, start_local(RECORD, [RawValue(to_payload(value))], _LOCAL))

    def cancel(self, ref: int) -> bool:
        return self._driver.calls.cancel(ref)

    # --- details ------------------------------------------------------------------------------

    def _key(self, ref: int) -> str:
        return f"{workflow.info().run_id}:{ref}"

    def _request(
        self,
        ref: int,
        *,
        ask: Ask | None = None,
        send: Send | None = None,
        spawn: Spawn | None = None,
        start: StartRequest | None = None,
    ) -> Request:
        return Request(self._driver.pid, self._key(ref), ask, send, spawn, start)

    def _local(self, name: str, request: Request) -> workflow.ActivityHandle[RawValue]:
        return start_local(name, [RawValue(to_payload(pack(request)))], _LOCAL)

    def _on_node(self, ref: int, name: str, request: Request, pid: Pid, dest: str) -> None:
        handle: workflow.ActivityHandle[RawValue] = workflow.start_activity(
            name,
            RawValue(to_payload(pack(request))),
            task_queue=node_queue(pid.place),
            result_type=RawValue,
            schedule_to_start_timeout=_NODE_PATIENCE,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=retry_policy(_LOCAL.retry_policy),
        )

        def done(outcome: Json) -> None:
            error = msgspec.json.decode(outcome, type=Outcome).err
            if error is not None and error.kind == "Timeout":  # the node is gone
                outcome = pack(Outcome(err=ErrorData(f"process {dest} not found", NOT_FOUND, False)))
            self._driver.settle(ref, outcome)

        self._driver.calls.watch(0, handle, done=done)


def node_queue(node: str) -> str:
    """The task queue on which one process is asked about its actors."""
    return f"saros-node-{node.removeprefix('@')}"


def _inner(outcome: Json) -> Json:
    """What a watch tells is an `Outcome` itself."""
    found = msgspec.json.decode(outcome, type=Outcome)
    return bytes(found.ok) if found.err is None and found.ok else outcome


def _exit(pid: str, end: Outcome) -> Json:
    from saros.program import Exit

    return pack(Exit(pid, end.ok, end.err))
