"""The process host: every actor of this process, and how they reach each other and the workflows."""

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
from ..model.background import Jobs, end_all
from ..model.clock import Clock, waiting
from ..model.errors import (
    ALREADY_EXISTS,
    CANCELED,
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
    CANCEL,
    EMPTY,
    MESSAGE,
    OUTDATED,
    Ask,
    Call,
    CallOptions,
    CancelRequest,
    Message,
    Outcome,
    Send,
    Spawn,
    outcome_ok,
    pack,
)
from ..model.text import cut, one_line, sentence
from ..model.values import Json
from .actor import Actor
from .attempts import Attempt, Attempts
from .ports import Ended
from .reads import read

log = logging.getLogger("saros")

FAREWELL_S = 5.0
"""How long closing waits for a backend to hear of the ends of this node's actors."""

Followed = tuple[Actor, asyncio.Future[Json]]
_DEFAULT_LIMIT = CallOptions().start_to_close_timeout


class ProcessHost:
    """:param backend: where workflows live; actors start, signal, monitor and cancel them through it."""

    def __init__(self, deployment: Deployment, backend: Backend, clock: Clock) -> None:
        self.deployment = deployment
        self.backend = backend
        self.clock = clock
        self.node = "@" + new_id()[:8]
        self.attempts = Attempts(self)
        self._actors: dict[str, Actor] = {}
        self._names: dict[str, str] = {}  # of this node's actors, which end with this process
        self._numbers = itertools.count(1)
        self._closing = False
        self._jobs = Jobs()

    # --- actors -----------------------------------------------------------------------------

    def new_actor(self, entry: Entry, scope: CallScope, done: Done) -> Actor:
        """:raises Error: when the code cannot be loaded."""
        actor = self._actors[scope.pid] = Actor(self, scope.pid, entry, scope, done)
        return actor

    def get(self, pid: str) -> Actor | None:
        return self._actors.get(pid)

    def forget(self, actor: Ended, outcome: Json) -> None:
        """Take an ended actor out, free its names, tell its watchers."""
        self._actors.pop(actor.pid, None)
        for name in [name for name, pid in self._names.items() if pid == actor.pid]:
            del self._names[name]
            self._jobs.start(self.backend.unregister(name, actor.pid), f"freeing the name {name}")
        error = msgspec.json.decode(outcome, type=Outcome).err
        failed = error is not None
        if error is not None and error.kind != CANCELED and not self._closing and not actor.heard():
            log.warning("%s", one_line(_crash(actor, error)))
        for peer in actor.links:
            if failed or peer not in actor.watchers:
                self._tell(peer, actor.pid, outcome, True)  # a normal end only unlinks
        for watcher, run_id in actor.watchers.items():
            self._tell(watcher, actor.pid, outcome, False, run_id)

    def _tell(self, watcher: str, ended: str, outcome: Json, link: bool, run_id: str = "") -> None:
        peer = self._actors.get(watcher)
        if peer is not None:
            asyncio.get_running_loop().call_soon(peer.watched_end, ended, outcome, link)
        else:
            self._jobs.start(
                self.backend.notify_end(Watcher(watcher, run_id, link=link), ended, outcome),
                f"telling {watcher} of the end of {ended}",
            )

    # --- calls ------------------------------------------------------------------------------

    async def run(self, entry_id: str, args: list[Any], context: dict[str, Any] | None = None) -> Any:
        """Call a function and return its value.

        :raises Error: what the function failed with.
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
        """Call a function or a module's service; returns what cancels it. `caller` is the scope of the calling actor.

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
            except Error as error:  # it may quote what it was given
                error.message = sentence(error.message)
                raise

        return self.later(run(), done)

    def later(self, request: Coroutine[Any, Any, Json], done: Done) -> Callable[[], None]:
        """Run a coroutine that gives JSON; `done` gets its outcome. Returns what cancels it."""

        async def work() -> None:
            try:
                outcome = outcome_ok(await request)
            except GeneratorExit:
                raise  # the loop has closed, and drops what still waits
            except BaseException as raised:  # becomes the caller's error
                if isinstance(raised, asyncio.CancelledError) and job.cancelled():
                    return
                outcome = pack(Outcome(err=error_of(raised)))
            done(outcome)

        self.clock.busy(1)  # before it begins: until then virtual time would go on
        job = self._jobs.start(work(), "a request of a process")
        job.task.add_done_callback(lambda task: self.clock.busy(-1))
        return job.cancel

    # --- spawning ---------------------------------------------------------------------------

    async def spawn(self, spawn: Spawn, parent: str | None) -> Json:
        """Start a workflow or a process; gives its pid, or with `exec` its result (as JSON)."""
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
        """Start a process; gives also what will have its outcome."""
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
        """Start a process (or reach the one that has the name already, which gets the messages).

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
            self._watch(actor, watcher.pid, watcher.link)
            if watcher.link and monitor:
                self._watch(actor, watcher.pid, False)
        asyncio.get_running_loop().call_soon(actor.begin, args, context, bodies)
        return actor

    def check_host(self, entry: Entry, host: str) -> None:
        """:raises Error: when `host` is none on which a process of `entry` may start now."""
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
        """Tell the actors that the app was loaded anew; those that are upgradable hear OUTDATED."""
        for actor in list(self._actors.values()):
            actor.deliver(OUTDATED, 0, EMPTY)

    # --- messages ---------------------------------------------------------------------------

    def send_here(self, send: Send, sender: str, key: str = "", trace: str = "") -> bool:
        """Deliver to an actor of this node at once; False when `send.to` is none."""
        target = self._actors.get(send.to) or self._actors.get(self._names.get(send.to, ""))
        if target is None:
            return False
        target.receive(_message(send, sender, key, trace))
        return True

    async def send(self, send: Send, sender: str, key: str = "", trace: str = "") -> Json:
        """See `saros.interfaces.host.Host.send`.

        :raises Error: NOT_FOUND.
        """
        trace = trace or self._trace(sender)
        if self.send_here(send, sender, key, trace):
            return b"true"
        pid = Pid.parse(await self.resolve(send.to))
        body = pack(_message(send, sender, key, trace))
        if pid is None or not await self.backend.send(pid, MESSAGE, body, key):
            raise not_found(send.to)
        return b"true"

    def _trace(self, pid: str | None) -> str:
        actor = self._actors.get(pid or "")
        return actor.scope.carrier if actor is not None else ""

    async def resolve(self, dest: str) -> str:
        """The pid that a destination is, or that of what has it as its name, or else as its workflow id; the
        destination itself when there is none.
        """
        if Pid.parse(dest) is not None:
            return dest
        named = self._names.get(dest) or await self.backend.lookup(dest)
        if named:
            return named
        try:
            return (await self.backend.describe(dest)).pid
        except Error as error:
            if error.kind in (NOT_FOUND, INVALID):  # INVALID: no backend has such an id
                return dest
            raise

    # --- requests ---------------------------------------------------------------------------

    async def read(self, ask: Ask) -> Json:
        """Answer a request of `READS`.

        :raises Error: see `saros.processes.reads.read`.
        """
        return await read(self, ask)

    async def ask(self, ask: Ask, asker: str, key: str = "") -> Json:
        """Carry out a request about another execution; gives a pid or true as JSON."""
        if ask.verb == "register":
            return await self._register(ask)
        if ask.verb == "lookup":
            found = self._names.get(ask.name) or await self.backend.lookup(ask.name)
            if found is None:
                raise Error(f"nothing is registered as {one_line(cut(ask.name))}", NOT_FOUND, retryable=False)
            return pack(found)
        if ask.verb == "unregister":
            known = self._names.pop(ask.name, None)
            return pack(bool(await self.backend.unregister(ask.name, "")) or known is not None)
        dest = await self.resolve(ask.to)
        await self.ask_about(dest, ask, asker, key)
        return b"true"

    async def _register(self, ask: Ask) -> Json:
        if not await self.backend.register(ask.name, ask.to):
            raise Error(f"the name {one_line(cut(ask.name))} is taken", ALREADY_EXISTS, retryable=False)
        if ask.to in self._actors:
            self._names[ask.name] = ask.to
        return b"true"

    async def ask_about(self, dest: str, ask: Ask, asker: str, key: str = "") -> None:
        """Monitor, link, cancel or terminate the execution `dest` for `asker`.

        :raises Error: NOT_FOUND.
        """
        target = self._actors.get(dest)
        if target is None:
            pid = Pid.parse(dest)
            if pid is None or not await self.backend.ask(pid, ask, asker, key):
                raise not_found(ask.to)
        elif ask.verb in ("monitor", "link"):
            self._watch(target, asker, ask.verb == "link", ask.run_id)
        elif ask.verb == "unmonitor":
            target.watchers.pop(asker, None)
        elif ask.verb == "unlink":
            target.links.discard(asker)
            if asker in self._actors:
                self._actors[asker].links.discard(dest)
        elif ask.verb == "cancel":
            target.deliver(CANCEL, 0, pack(CancelRequest(asker, ask.reason)))
        elif ask.verb == "terminate":
            error = ErrorData(f"terminated by {asker}" if asker else "terminated", "Canceled", False)
            target.end(pack(Outcome(err=error)))

    def _watch(self, target: Actor, watcher: str, link: bool, run_id: str = "") -> None:
        if not link:
            target.watchers[watcher] = run_id
            return
        target.links.add(watcher)
        peer = self._actors.get(watcher)
        if peer is not None:
            peer.links.add(target.pid)

    # --- life -------------------------------------------------------------------------------

    async def close(self) -> None:
        """End every actor, tell who watches them, and wait for what still runs."""
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


def _crash(actor: Ended, error: ErrorData) -> str:
    """What is told of a failure that nobody hears of: entry, pid, message and the line of the code."""
    place = (error.stack or "").partition(": ")[0]
    line = f" ({place})" if place and not error.message.startswith(place) else ""
    return f"{actor.entry.id} {actor.pid} failed, and nobody monitors it: {error.message}{line}"


def _message(send: Send, sender: str, key: str, trace: str) -> Message:
    ordered = () if send.after is None else (key, send.after)
    return Message(send.topic, sender, send.payloads, *ordered, trace=trace)


def _promise() -> tuple[asyncio.Future[Json], Done]:
    """What will have an outcome, and what gives it one."""
    future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
    return future, lambda outcome: None if future.done() else future.set_result(outcome)


def not_found(dest: str) -> Error:
    return Error(f"process {one_line(cut(dest))} not found", NOT_FOUND, retryable=False)
