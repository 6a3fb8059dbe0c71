"""The process host as backends see it: the functions and processes that run in this process.

`saros.processes.ProcessHost` is the one implementation. A backend gets it in `Backend.work`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from ..entries import Entry
from ..model.clock import Clock
from ..model.records import Ask, Call, Message, Send, Spawn
from ..model.values import Json
from .deployment import Deployment
from .runtime import CallScope

Done = Callable[[Json], None]
"""Called once with an `Outcome`."""


@runtime_checkable
class Actor(Protocol):
    """A program in this process, with a pid and a mailbox."""

    @property
    def pid(self) -> str: ...

    @property
    def scope(self) -> CallScope:
        """The scope of the attempt that this actor is."""
        ...

    @property
    def watchers(self) -> dict[str, str]:
        """Pids that receive EXIT when the actor ends -> the watching run, if the watcher is a workflow."""
        ...

    @property
    def links(self) -> set[str]:
        """Pids that receive LINK_DOWN when the actor ends abnormally."""
        ...

    def deliver(self, op: str, ref: int, body: Json) -> None:
        """Put an event into the mailbox."""
        ...

    def receive(self, message: Message) -> None:
        """Put a message into the mailbox, after the message that it follows."""
        ...

    def watched_end(self, sender: str, outcome: Json, link: bool) -> None:
        """Deliver the end of a peer that this actor watches."""
        ...


class Attempt(Protocol):
    """One running attempt of a function."""

    @property
    def scope(self) -> CallScope: ...

    @property
    def running(self) -> bool:
        """True until the attempt settles."""
        ...

    def finish(self, outcome: Json) -> None:
        """Settle with an `Outcome`; only the first one counts."""
        ...

    def abandon(self, outcome: Json = ...) -> None:
        """Settle now and stop the code."""
        ...

    def cancel(self) -> None:
        """Ask the code to end; the attempt settles with the code's own outcome."""
        ...

    def limit(self, name: str, ms: int, outcome: Callable[[], Json]) -> None:
        """(Re)arm a time limit in milliseconds, after which the attempt is abandoned with `outcome()`."""
        ...


class Attempts(Protocol):
    """Starts attempts of functions."""

    @property
    def clock(self) -> Clock: ...

    @property
    def deployment(self) -> Deployment: ...

    def scope(self, info: dict[str, Any], call: Call) -> CallScope:
        """The scope of a new attempt, with a fresh pid; `info` is what ``activity.info()`` returns."""
        ...

    def start(self, entry: Entry, call: Call, scope: CallScope, done: Done) -> Attempt:
        """Begin an attempt; `done` may be called before this returns.

        :raises Error: when the code cannot be loaded.
        """
        ...


class Host(Protocol):
    """All actors of this process, and how they reach each other and the workflows."""

    @property
    def node(self) -> str:
        """The name of this process as it appears in pids."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def deployment(self) -> Deployment: ...

    @property
    def attempts(self) -> Attempts: ...

    def get(self, pid: str) -> Actor | None:
        """The actor with this pid, if it runs here."""
        ...

    async def spawn(self, spawn: Spawn, parent: str | None) -> Json:
        """Start a workflow or a process; return its pid, or with `exec` its result, as JSON.

        :param parent: the pid that monitors it or is linked to it, if `spawn` says so.

        :raises Error: NOT_FOUND, INVALID, RATE_LIMITED.
        """
        ...

    def follow(self, entry: Entry, spawn: Spawn) -> tuple[Actor, asyncio.Future[Json]]:
        """Start a process; return it and a future for its `Outcome`.

        :raises Error: NOT_FOUND, INVALID, RATE_LIMITED.
        """
        ...

    async def send(self, send: Send, sender: str, key: str = "", trace: str = "") -> Json:
        """Deliver a message anywhere; `key` makes a repeated delivery harmless.

        :param trace: the carrier of the sender, if it is no actor of this process.
        :raises Error: NOT_FOUND.
        """
        ...

    async def resolve(self, dest: str) -> str:
        """The pid for a destination: a pid, a registered name or a workflow id. Anything else is returned as is."""
        ...

    async def ask(self, ask: Ask, asker: str, key: str = "") -> Json:
        """Carry out a request about another execution; return a pid or true as JSON.

        :raises Error: NOT_FOUND, ALREADY_EXISTS.
        """
        ...

    async def ask_about(self, dest: str, ask: Ask, asker: str, key: str = "") -> None:
        """Monitor, link, cancel or terminate the execution `dest` for `asker`.

        :raises Error: NOT_FOUND.
        """
        ...
