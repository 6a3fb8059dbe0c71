"""The four ports of an actor: its program's commands are carried out at once, in this process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ..entries import Entry
from ..interfaces.deployment import Deployment
from ..interfaces.host import Done
from ..interfaces.program import Ports
from ..interfaces.runtime import CallScope
from ..model.clock import Clock
from ..model.errors import INTERNAL, Error, ErrorData
from ..model.records import (
    DONE,
    Answer,
    Ask,
    Attributes,
    Call,
    ContinueAsNew,
    Outcome,
    Send,
    Spawn,
    VersionMark,
    outcome_ok,
    pack,
)
from ..model.values import Json
from .reads import READS


class Ended(Protocol):
    """An actor that has ended, as its host sees it."""

    @property
    def pid(self) -> str: ...

    @property
    def entry(self) -> Entry: ...

    @property
    def watchers(self) -> dict[str, str]: ...

    @property
    def links(self) -> set[str]: ...

    def heard(self) -> bool: ...


class ActorHost(Protocol):
    """The part of the process host that actors use."""

    @property
    def clock(self) -> Clock: ...

    @property
    def deployment(self) -> Deployment: ...

    def call(self, call: Call, caller: CallScope, done: Done) -> Callable[[], None]:
        """Call a function or a module's service for the actor whose scope is `caller`; return what cancels it."""
        ...

    def later(self, request: Coroutine[Any, Any, Json], done: Done) -> Callable[[], None]:
        """Run a coroutine that returns JSON; `done` gets its outcome. Return a function that cancels it."""
        ...

    async def spawn(self, spawn: Spawn, parent: str | None) -> Json: ...

    def send_here(self, send: Send, sender: str) -> bool: ...

    async def send(self, send: Send, sender: str) -> Json: ...

    async def ask(self, ask: Ask, asker: str) -> Json: ...

    async def read(self, ask: Ask) -> Json: ...

    def forget(self, actor: Ended, outcome: Json) -> None:
        """Remove an actor that has ended."""
        ...


class Owner(Protocol):
    """The actor to which these ports belong."""

    @property
    def pid(self) -> str: ...

    @property
    def scope(self) -> CallScope: ...

    @property
    def host(self) -> ActorHost: ...

    @property
    def asked(self) -> int:
        """The steady clock's time of the program's last commands."""
        ...

    def deliver(self, op: str, ref: int, body: Json) -> None: ...

    def end(self, outcome: Json) -> None: ...

    def upgrade(self, request: ContinueAsNew) -> None: ...


class UnderWay:
    """The commands under way, each with the function that cancels it."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._cancels: dict[int, Callable[[], None]] = {}

    def begin(self, ref: int, start: Callable[[Done], Callable[[], None]]) -> None:
        """Start work that settles the command `ref`; `start` returns a function that cancels it."""

        def done(outcome: Json) -> None:
            self._cancels.pop(ref, None)
            self._owner.deliver(DONE, ref, outcome)

        self._cancels[ref] = _nothing  # `done` removes it when it is called at once
        cancel = start(done)
        if ref in self._cancels:
            self._cancels[ref] = cancel

    def cancel(self, ref: int) -> None:
        cancel = self._cancels.pop(ref, None)
        if cancel is not None:
            cancel()

    def cancel_all(self) -> None:
        for ref in list(self._cancels):
            self.cancel(ref)


def _nothing() -> None:
    pass


class ActorTimers:
    """The timers port."""

    def __init__(self, owner: Owner, under_way: UnderWay) -> None:
        self._owner = owner
        self._under_way = under_way

    def start(self, ref: int, ns: int) -> None:
        clock, asked = self._owner.host.clock, self._owner.asked
        self._under_way.begin(ref, lambda done: clock.call_after(ns, lambda: done(b"{}"), asked).cancel)

    def cancel(self, ref: int) -> None:
        self._under_way.cancel(ref)


class ActorActivities:
    """The activities port."""

    def __init__(self, owner: Owner, under_way: UnderWay) -> None:
        self._owner = owner
        self._under_way = under_way

    def schedule(self, ref: int, call: Call) -> None:
        host, scope = self._owner.host, self._owner.scope
        self._under_way.begin(ref, lambda done: host.call(call, scope, done))

    def cancel(self, ref: int) -> None:
        self._under_way.cancel(ref)


class ActorSignals:
    """The signals port."""

    def __init__(self, owner: Owner, under_way: UnderWay) -> None:
        self._owner = owner
        self._under_way = under_way

    def spawn(self, ref: int, spawn: Spawn) -> None:
        self._later(ref, self._owner.host.spawn(spawn, self._owner.pid))

    def send(self, ref: int, send: Send) -> None:
        host, pid = self._owner.host, self._owner.pid
        if host.send_here(send, pid):
            self._owner.deliver(DONE, ref, b"{}")
        else:
            self._later(ref, host.send(send, pid))

    def tell(self, ref: int, send: Send) -> None:
        raise Error("only a workflow sends without waiting for the result", INTERNAL)

    def ask(self, ref: int, ask: Ask) -> None:
        host = self._owner.host
        self._later(ref, host.read(ask) if ask.verb in READS else host.ask(ask, self._owner.pid))

    def cancel(self, ref: int, reason: str) -> None:
        self._under_way.cancel(ref)

    def _later(self, ref: int, request: Coroutine[Any, Any, Json]) -> None:
        self._under_way.begin(ref, lambda done: self._owner.host.later(request, done))


class ActorHistory:
    """The history port. An actor has no history; only the end of its program matters."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def attributes(self, upserts: Attributes) -> None:
        pass  # `Facts.admit_attributes` and the module rules keep functions and processes from these three

    def version(self, mark: VersionMark) -> None:
        pass

    def side_effect(self, ref: int, value: Json) -> None:
        pass

    def answer(self, answer: Answer) -> None:
        raise Error(f"{self._owner.pid} answered a query, but only workflows get queries", INTERNAL)

    def continue_as_new(self, request: ContinueAsNew) -> None:
        self._owner.upgrade(request)

    def complete(self, result: Json) -> None:
        self._owner.end(outcome_ok(result))

    def fail(self, error: ErrorData) -> None:
        self._owner.end(pack(Outcome(err=error)))


def ports_of(owner: Owner, under_way: UnderWay) -> Ports:
    return Ports(
        ActorHistory(owner),
        ActorTimers(owner, under_way),
        ActorSignals(owner, under_way),
        ActorActivities(owner, under_way),
    )
