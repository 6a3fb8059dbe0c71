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
    """A program of this process, with a pid and a mailbox."""

    @property
    def pid(self) -> str: ...

    @property
    def scope(self) -> CallScope:
        """What surrounds the attempt that it is."""
        ...

    @property
    def watchers(self) -> dict[str, str]:
        """Pids that hear of its end as EXIT -> the run that watches, when it is a workflow."""
        ...

    @property
    def links(self) -> set[str]:
        """Pids that hear of an abnormal end as LINK_DOWN."""
        ...

    def deliver(self, op: str, ref: int, body: Json) -> None:
        """Put an event into its mailbox."""
        ...

    def receive(self, message: Message) -> None:
        """Put a message into its mailbox, after the one that it follows."""
        ...

    def watched_end(self, sender: str, outcome: Json, link: bool) -> None:
        """Tell it that a peer that it watches has ended."""
        ...


class Attempt(Protocol):
    """One attempt of a function that is under way."""

    @property
    def scope(self) -> CallScope: ...

    @property
    def running(self) -> bool:
        """Whether it has not settled yet."""
        ...

    def finish(self, outcome: Json) -> None:
        """Settle with an `Outcome`; the first one counts."""
        ...

    def abandon(self, outcome: Json = ...) -> None:
        """Settle now and stop the code."""
        ...

    def cancel(self) -> None:
        """Ask the code to end; its own end counts."""
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
        """The surroundings of a new attempt, with a fresh pid; `info` is what ``activity.info()`` tells."""
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
        """The name of this process as a place of pids."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def deployment(self) -> Deployment: ...

    @property
    def attempts(self) -> Attempts: ...

    def get(self, pid: str) -> Actor | None:
        """The actor with that pid, if it runs here."""
        ...

    async def spawn(self, spawn: Spawn, parent: str | None) -> Json:
        """Start a workflow or a process; gives its pid, or with `exec` its result, as JSON.

        :param parent: the pid that monitors it or is linked to it, if `spawn` says so.

        :raises Error: NOT_FOUND, INVALID, RATE_LIMITED.
        """
        ...

    def follow(self, entry: Entry, spawn: Spawn) -> tuple[Actor, asyncio.Future[Json]]:
        """Start a process; gives also what will have its `Outcome`.

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
        """The pid that a destination is, or that of what has it as its name or workflow id; else itself."""
        ...

    async def ask(self, ask: Ask, asker: str, key: str = "") -> Json:
        """Carry out a request about another execution; gives a pid or true as JSON.

        :raises Error: NOT_FOUND, ALREADY_EXISTS.
        """
        ...

    async def ask_about(self, dest: str, ask: Ask, asker: str, key: str = "") -> None:
        """Monitor, link, cancel or terminate the execution `dest` for `asker`.

        :raises Error: NOT_FOUND.
        """
        ...
