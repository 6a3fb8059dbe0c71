"""Attempts: one run of a function's code, whatever its runtime, with a time limit and a heartbeat."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

from ..entries import Entry
from ..interfaces.deployment import Deployment
from ..interfaces.host import Done
from ..interfaces.runtime import CallScope
from ..model import values
from ..model.clock import Clock, Handle
from ..model.errors import CANCELED, UNAVAILABLE, ErrorData
from ..model.execution import error_of
from ..model.records import EMPTY, Call, Outcome, outcome_ok, pack
from ..model.timing import MS
from ..model.values import Json
from .actor import Actor

_CANCELED: Final = pack(Outcome(err=ErrorData("canceled", CANCELED, False)))


class Attempt:
    """One attempt that is under way. It calls its `done` exactly once, however it ends."""

    __slots__ = (
        "__weakref__",
        "_actor",
        "_attempts",
        "_done",
        "_limits",
        "_task",
        "_waits",
        "_wanted",
        "scope",
    )

    def __init__(self, attempts: Attempts, scope: CallScope, done: Done) -> None:
        self.scope = scope
        self._attempts = attempts
        self._done: Done | None = done
        self._limits: dict[str, Handle] = {}
        self._wanted: dict[
            str, tuple[int, Callable[[], Json]]
        ] = {}  # milliseconds and outcomes of the limits
        self._waits = False  # whether the code still has to wait before it begins
        scope.on_queue = self._queued
        self._task: asyncio.Task[None] | None = None
        self._actor: Actor | None = None

    @property
    def running(self) -> bool:
        """Whether the attempt has not settled yet."""
        return self._done is not None

    def finish(self, outcome: Json) -> None:
        """Settle with an `Outcome`; only the first one counts."""
        done, self._done = self._done, None
        if done is None:
            return
        for limit in self._limits.values():
            limit.cancel()
        self._attempts.running.discard(self)
        self.scope.settle()
        self._actor = None
        done(outcome)

    def abandon(self, outcome: Json = _CANCELED) -> None:
        """Settle now and stop the code."""
        actor = self._actor
        self.finish(outcome)
        if actor is not None:
            actor.end(outcome)
        if self._task is not None:
            self._task.cancel()

    def cancel(self) -> None:
        """Ask the code to end: a Lua function gets CANCEL, an async Python function is cancelled.

        A Python function in a thread must check for cancellation itself; only its own end counts.
        """
        if self.scope.canceled:
            return
        self.scope.cancel()
        if self._task is not None and not self.scope.blocking:
            self._task.cancel()

    def limit(self, name: str, ms: int, outcome: Callable[[], Json]) -> None:
        """Arm or rearm a time limit, after which the attempt is abandoned with `outcome()`.

        The limit starts now, or when the code begins, if the code still has to wait.
        """
        old = self._limits.pop(name, None)
        if old is not None:
            old.cancel()
        if not ms or self._done is None:
            return
        self._wanted[name] = ms, outcome
        if not self._waits:
            clock = self._attempts.clock
            self._limits[name] = clock.call_after(ms * MS, lambda: self.abandon(outcome()))

    def _queued(self, waits: bool) -> None:
        self._waits = waits
        for name, (ms, outcome) in list(self._wanted.items()):
            if waits and name in self._limits:
                self._limits.pop(name).cancel()
            elif not waits:
                self.limit(name, ms, outcome)

    def run_actor(self, actor: Actor, call: Call) -> None:
        self._actor = actor
        actor.begin(call.args, call.context)

    def run_task(self, work: Callable[[], Awaitable[Json]]) -> None:
        """Run a function as real work: virtual time stands still before its limits are armed."""
        clock = self._attempts.clock
        clock.busy(1)
        self._task = asyncio.get_running_loop().create_task(self._run(work))
        self._task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._attempts.clock.busy(-1)
        if self._done is not None:  # it was cancelled before it began, and has run nothing
            self.finish(_CANCELED)

    async def _run(self, work: Callable[[], Awaitable[Json]]) -> None:
        try:
            self.finish(outcome_ok(values.bounded(await work(), "the result has")))
        except BaseException as raised:  # a function may raise anything; the caller gets it as an error
            if issubclass(type(raised), GeneratorExit) and asyncio._get_running_loop() is None:
                raise  # the loop has closed and drops pending callbacks
            self.finish(_outcome_of(raised, self.scope.canceled))


def _outcome_of(raised: BaseException, canceled: bool) -> Json:
    """Return the outcome of code that raised, even if it raised what usually ends a task or a process."""
    if issubclass(type(raised), asyncio.CancelledError):  # isinstance would run code of the exception
        if canceled:
            return _CANCELED
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # because the process stops, or the code cancelled itself
            return pack(Outcome(err=ErrorData("its task was cancelled", UNAVAILABLE)))
    return pack(Outcome(err=error_of(raised)))


class AttemptHost(Protocol):
    """The part of the process host that attempts need."""

    @property
    def node(self) -> str: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def deployment(self) -> Deployment: ...

    def new_actor(self, entry: Entry, scope: CallScope, done: Done) -> Actor:
        """:raises Error: when the code cannot be loaded."""
        ...


class Attempts:
    """Starts attempts of functions on one process host."""

    def __init__(self, host: AttemptHost) -> None:
        self._host = host
        self.clock = host.clock
        self.deployment = host.deployment
        self.running: set[Attempt] = set()
        self._numbers = itertools.count(1)

    def scope(self, info: dict[str, Any], call: Call, caller: CallScope | None = None) -> CallScope:
        """Return the environment of a new attempt, with a fresh pid.

        :param caller: the scope of the function that makes the call.
        """
        pid = f"{self._host.node}|f{next(self._numbers)}"
        context = {} if call.context is EMPTY else values.decode(call.context)
        return CallScope(pid, info, context if isinstance(context, dict) else {}, caller=caller)

    def start(self, entry: Entry, call: Call, scope: CallScope, done: Done) -> Attempt:
        """Begin an attempt; `done` may be called before this returns.

        :raises Error: when the code cannot be loaded.
        """
        attempt = Attempt(self, scope, done)
        self.running.add(attempt)
        functions = self.deployment.functions.get(entry.runtime)
        if functions is not None:
            attempt.run_task(partial(functions.call, entry, call.args, scope))
            return attempt
        try:
            actor = self._host.new_actor(entry, scope, attempt.finish)
        except BaseException:
            self.running.discard(attempt)
            raise
        attempt.run_actor(actor, call)
        return attempt
