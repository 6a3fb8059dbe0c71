"""The process host: it starts and ends every actor of this process. `Peers` connects actors with each other."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from anyio import move_on_after

from ..entries import Entry
from ..interfaces.backend import Backend
from ..interfaces.deployment import Deployment
from ..interfaces.host import Done
from ..interfaces.runtime import CallScope
from ..model import values
from ..model.background import end_all
from ..model.clock import Clock, waiting
from ..model.errors import (
    INVALID,
    NOT_FOUND,
    RATE_LIMITED,
    TIMEOUT,
    Error,
    ErrorData,
)
from ..model.execution import Pid, StartRequest, Watcher, error_of, new_id, value_of
from ..model.options import check_start
from ..model.records import (
    EMPTY,
    MESSAGE,
    OUTDATED,
    Call,
    CallOptions,
    Message,
    Outcome,
    Spawn,
    outcome_ok,
    pack,
)
from ..model.text import cut, one_line, sentence
from ..model.values import Json
from .actor import Actor
from .attempts import Attempt, Attempts
from .peers import Peers

log = logging.getLogger("saros")

FAREWELL_S = 5.0
"""How long closing waits until the backend knows that this node's actors have ended."""

Followed = tuple[Actor, asyncio.Future[Json]]
_DEFAULT_LIMIT = CallOptions().start_to_close_timeout


class ProcessHost(Peers):
    """:param backend: runs the workflows; actors start, signal, monitor and cancel them through it."""

    def __init__(self, deployment: Deployment, backend: Backend, clock: Clock) -> None:
        super().__init__(backend)
        self.deployment = deployment
        self.clock = clock
        self.node = "@" + new_id()[:8]
        self.attempts = Attempts(self)
        self._numbers = itertools.count(1)

    # --- actors -----------------------------------------------------------------------------

    def new_actor(self, entry: Entry, scope: CallScope, done: Done) -> Actor:
        """:raises Error: when the code cannot be loaded."""
        actor = self._actors[scope.pid] = Actor(self, scope.pid, entry, scope, done)
        return actor

    # --- calls ------------------------------------------------------------------------------

    async def run(self, entry_id: str, args: list[Any], context: dict[str, Any] | None = None) -> Any:
        """Call a function and return its value.

        :raises Error: the function's own error.
        """
        call = Call(
            entry_id, msgspec.Raw(values.encode_args(args)), msgspec.Raw(values.encode(context or {}))
        )
        end, done = _promise()
        cancel = self.call(call, None, done)
        try:
            return values.decode(value_of(await end))
        except asyncio.CancelledError:
            cancel()
            raise

    def call(self, call: Call, caller: CallScope | None, done: Done) -> Callable[[], None]:
        """Call a function or a module's service for the actor whose scope is `caller`; return what cancels the call.

        `done` may be called at once.
        """
        if call.target.startswith("@"):
            return self._call_service(call, caller, done)
        try:
            entry = self.deployment.registry.callable(call.target)
            attempt = self._start_call(entry, call, caller, done)
        except Exception as error:
            done(pack(Outcome(err=error_of(error))))
            return lambda: None
        return attempt.abandon

    def _start_call(self, entry: Entry, call: Call, caller: CallScope | None, done: Done) -> Attempt:
        scope = self.attempts.scope({}, call, caller)
        attempt = self.attempts.start(entry, call, scope, done)
        if attempt.running:
            scope.follow(attempt.cancel)
        limit = call.options.start_to_close_timeout
        if limit != _DEFAULT_LIMIT:
            error = ErrorData(f"{call.target} took longer than {limit / 1000:g} s", TIMEOUT, False)
            attempt.limit("call", limit, lambda: pack(Outcome(err=error)))
        return attempt

    def _call_service(self, call: Call, caller: CallScope | None, done: Done) -> Callable[[], None]:
        service = self.deployment.services.get(call.target[1:])
        if service is None:
            error = Error(
                f"no installed plugin supplies the service {call.target}", NOT_FOUND, retryable=False
            )
            done(pack(Outcome(err=values.error_data(error))))
            return lambda: None
        args = values.decode(call.args)

        async def run() -> Json:
            try:
                return values.encode(await service(caller.pid if caller else "", args))
            except Error as error:  # the message may quote its arguments
                error.message = sentence(error.message)
                raise

        return self.later(run(), done)

    def later(self, request: Coroutine[Any, Any, Json], done: Done) -> Callable[[], None]:
        """Run a coroutine that returns JSON; `done` gets its outcome. Return a function that cancels it."""

        async def work() -> None:
            try:
                outcome = outcome_ok(await request)
            except GeneratorExit:
                raise  # the loop has closed and drops pending callbacks
            except BaseException as raised:  # reported to the caller
                if isinstance(raised, asyncio.CancelledError) and job.cancelled():
                    return
                outcome = pack(Outcome(err=error_of(raised)))
            done(outcome)

        self.clock.busy(1)  # set before the task begins: until then virtual time would go on
        job = self._jobs.start(work(), "a request of a process")
        job.task.add_done_callback(lambda task: self.clock.busy(-1))
        job.task.add_done_callback(lambda task: request.close())  # if it was cancelled before it began
        return job.cancel

    # --- spawning ---------------------------------------------------------------------------

    async def spawn(self, spawn: Spawn, parent: str | None) -> Json:
        """Start a workflow or a process; return its pid, or with `exec` its result (as JSON)."""
        entry = self.deployment.registry.get(spawn.entry) or self.deployment.registry.by_type(spawn.entry)
        if entry is None:
            raise Error(f"the app has no entry {one_line(cut(spawn.entry))}", NOT_FOUND, retryable=True)
        watcher = Watcher(parent, link=spawn.link) if parent and (spawn.monitor or spawn.link) else None
        if entry.role == "workflow":
            return await self._spawn_workflow(entry, spawn, watcher, self._trace(parent))
        return await self._spawn_process(entry, spawn, watcher)

    async def _spawn_workflow(self, entry: Entry, spawn: Spawn, watcher: Watcher | None, trace: str) -> Json:
        worker, queue = self.deployment.registry.worker_and_queue(entry, spawn.host)
        request = StartRequest(
            spawn.options.id or spawn.name or new_id(),
            entry.id,
            entry.type_name,
            worker,
            spawn.options.task_queue or queue,
            spawn.args,
            spawn.context,
            spawn.options,
            spawn.messages,
            spawn.name,
            watcher=watcher,
            request_id=new_id(),
            trace=trace,
        )
        check_start(request.options, request.id)
        started = await self.backend.start(request)
        if not spawn.exec:
            return pack(started.pid)
        with waiting(self.clock):
            return value_of(await self.backend.result(started.id, started.run_id))

    async def _spawn_process(self, entry: Entry, spawn: Spawn, watcher: Watcher | None) -> Json:
        actor, end = self.follow(entry, spawn, watcher)
        if not spawn.exec:
            return pack(actor.pid)
        with waiting(self.clock):
            return value_of(await end)

    def follow(self, entry: Entry, spawn: Spawn, watcher: Watcher | None = None) -> Followed:
        """Start a process; return its pid and a future of its outcome."""
        if entry.role not in ("process", "function"):
            raise Error(f"{entry.id} is a {entry.kind}, which cannot be spawned", INVALID, retryable=False)
        self.check_host(entry, spawn.host)
        end, done = _promise()
        given = (spawn.args, spawn.context, spawn.messages, done, watcher, spawn.name, spawn.monitor)
        actor = self.start_process(entry, *given)
        actor.awaited = actor.awaited or spawn.exec
        return actor, end

    def start_process(
        self,
        entry: Entry,
        args: msgspec.Raw,
        context: msgspec.Raw,
        messages: tuple[Message, ...] = (),
        done: Done | None = None,
        watcher: Watcher | None = None,
        name: str = "",
        monitor: bool = True,
    ) -> Actor:
        """Start a process. If a process already has the name, send it the messages instead.

        :raises Error: when the code cannot be loaded.
        """
        bodies = tuple(pack(message) for message in messages)
        running = self._actors.get(self._names.get(name, "")) if name else None
        if running is not None:
            for body in bodies:
                running.deliver(MESSAGE, 0, body)
            return running
        pid = str(Pid(self.node, f"p{next(self._numbers)}"))
        scope = CallScope(pid, {}, {})
        actor = self.new_actor(entry, scope, done or (lambda outcome: None))
        actor.awaited = False
        if name:
            self._names[name] = pid
            self._jobs.start(self.backend.register(name, pid), f"registering the name {name}")
        if watcher is not None:
            self.watch(actor, watcher.pid, watcher.link)
            if watcher.link and monitor:
                self.watch(actor, watcher.pid, False)
        asyncio.get_running_loop().call_soon(actor.begin, args, context, bodies)
        return actor

    def check_host(self, entry: Entry, host: str) -> None:
        """:raises Error: when a process of `entry` cannot start on `host` now."""
        found = self.deployment.registry.resolve(host, entry.namespace)
        if found is None:
            raise Error(f"there is no process host {one_line(cut(host))}", NOT_FOUND, retryable=False)
        if found.kind not in ("process.host", "temporal.worker"):
            raise Error(
                f"{host} is a {found.kind}; processes run on a process.host", INVALID, retryable=False
            )
        limit = found.get("host.max_processes") if found.kind == "process.host" else None
        if isinstance(limit, int) and limit and self._process_count() >= limit:
            raise Error(f"the process host {host} runs its {limit} processes already", RATE_LIMITED)

    def _process_count(self) -> int:
        return sum(1 for actor in self._actors.values() if actor.entry.role == "process")

    def outdated(self) -> None:
        """Tell the actors that the app was reloaded; upgradable ones get OUTDATED."""
        for actor in list(self._actors.values()):
            actor.deliver(OUTDATED, 0, EMPTY)

    # --- life -------------------------------------------------------------------------------

    async def close(self) -> None:
        """End every actor, tell its watchers, and wait for the work that still runs."""
        self._closing = True
        requests = list(self._jobs)
        for job in requests:
            job.cancel()
        end = pack(Outcome(err=ErrorData("the process host shut down", "Unavailable")))
        for attempt in list(self.attempts.running):
            attempt.abandon(end)
        for actor in list(self._actors.values()):
            actor.end(end)
        with move_on_after(FAREWELL_S, shield=True):
            await end_all(requests, FAREWELL_S)
            await self._jobs.wait()
        await self._jobs.end()


def _promise() -> tuple[asyncio.Future[Json], Done]:
    """Return a future of an outcome, and the function that sets it."""
    future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
    return future, lambda outcome: None if future.done() else future.set_result(outcome)
