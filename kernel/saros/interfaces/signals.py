"""Signals: how executions and processes send messages to, start, watch and end one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from ..model.execution import Run, Watcher
from ..model.records import ASK, Ask, Send, Spawn, pack
from ..model.values import Json


class Signals(Protocol):
    """Sends messages to other executions and processes, and starts, watches and ends them."""

    def spawn(self, ref: int, spawn: Spawn) -> None: ...

    def send(self, ref: int, send: Send) -> None: ...

    def tell(self, ref: int, send: Send) -> None:
        """Send to a process or function. Nobody waits for the reply; if the receiver has ended, that is logged."""
        ...

    def ask(self, ref: int, ask: Ask) -> None: ...

    def cancel(self, ref: int, reason: str) -> None:
        """Cancel a start, a message or a request. If it is already on its way, it may still arrive.

        An awaited child (`Spawn.exec`) is asked to end.
        """
        ...


class Mail(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into an execution (`op`, `ref` and `body` as in `saros.model.records.Event`)."""

    op: str
    ref: int
    body: Json
    run_id: str = ""  # only this run may receive it; "" means the running one
    key: str = ""  # a second mail with the same key is dropped; "" is never compared
    request: str = ""  # only the execution that this start request made may receive it; see `Store.post`


class Outgoing(NamedTuple):
    """A request of one execution that concerns another.

    `op` and `body` are a SPAWN, SEND or ASK command; or EXIT or DONE mail for a watcher (`to`); or TIME_OUT
    with the `Outcome` of a run whose `run_timeout` has passed and which another run may follow: the engine
    answers with `Store.time_out`. The reply goes to run `run_id` of `id` as DONE of `ref`; with `ref` 0 there
    is no reply. `key` identifies the request for ever.

    Entries of the same lane are delivered one after the other, in the order of their commits, whichever workers
    deliver them and whichever runs of `id` they come from: the store leases an entry once the one before it in
    its lane was `SignalStore.delivered`. Entries without a lane do not wait. See `lane_of`.
    """

    id: str
    run_id: str
    pid: str
    ref: int
    op: str
    body: Json
    key: str
    to: Watcher | None = None
    lane: str = ""


def lane_of(id: str, to: str) -> str:
    """Return the lane of the requests of execution `id` to `to`, and of the notice of its end to `to`."""
    return f"{id}>{to}"


class Child(NamedTuple):
    """A workflow that command `ref` of a run starts, and what happens to it when that run ends.

    Its start request is `child_request` of the run and `ref`; `policy` is ``terminate`` or ``request_cancel``.
    """

    ref: int
    id: str
    policy: str


def child_request(run_id: str, ref: int) -> str:
    """The id of the request by which command `ref` of a run starts a workflow."""
    return f"{run_id}:{ref}"


def farewell(run: Run, child: Child) -> Outgoing:
    """The request that the end of a run sends to a child."""
    verb = "terminate" if child.policy == "terminate" else "cancel"
    request = child_request(run.run_id, child.ref)
    body = pack(Ask(verb, f"|{child.id}", reason=PARENT_ENDED, request=request))
    return Outgoing(run.id, run.run_id, str(run.pid), 0, ASK, body, f"{request}:{verb}")


PARENT_ENDED: Final = "the parent has ended"


class SignalStore(Protocol):
    """The store's part: inboxes, the outbox, watchers and the name registry."""

    async def post(self, id: str, mail: Mail) -> bool:
        """Put mail into the inbox of a running execution; False if there is none.

        CANCEL wakes a run that waits for its start (`NewRun.delay`). If `mail.request` has not made its
        execution yet, the request is withdrawn instead: when it is carried out later, it starts nothing.
        """
        ...

    async def watch(self, id: str, watcher: Watcher) -> bool:
        """Tell `watcher` when a running execution ends; False if none is running."""
        ...

    async def unwatch(self, id: str, pid: str) -> None: ...

    async def outbox(self, limit: int) -> list[Outgoing]:
        """Lease entries to deliver, of each lane only the first; block until there is at least one."""
        ...

    async def delivered(self, entry: Outgoing, reply: Mail | None) -> None:
        """Remove an entry from the outbox, put the reply into its sender's inbox, and let the next entry of its
        lane be delivered, atomically.
        """
        ...

    async def give_back(self, entries: Sequence[Outgoing]) -> None:
        """Let other workers deliver what this one has leased: it stops. Each goes before the others of its lane.

        A store that gives back everything at the end of its `Store.run` need not do anything here.
        """
        ...

    async def register(self, name: str, pid: str) -> bool:
        """Register a name for a pid; False if another live pid has it."""
        ...

    async def lookup(self, name: str) -> str | None: ...

    async def unregister(self, name: str, pid: str = "") -> bool:
        """Free a name (if `pid` is given, only when the name is that pid's); False if it was free."""
        ...
