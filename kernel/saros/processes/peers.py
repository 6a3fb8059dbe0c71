"""Messages, requests and exit notices between the actors of this process and all other executions."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from ..interfaces.backend import Backend
from ..model.background import Jobs
from ..model.clock import Clock
from ..model.errors import ALREADY_EXISTS, CANCELED, INVALID, NOT_FOUND, Error, ErrorData
from ..model.execution import RUNNING, Pid, Watcher
from ..model.records import CANCEL, MESSAGE, Ask, CancelRequest, Message, Outcome, Send, pack
from ..model.text import cut, one_line
from ..model.values import Json
from .actor import Actor
from .ports import Ended
from .reads import read

log = logging.getLogger("saros")


class Peers:
    """The actors of this process, by pid and by name.

    :param backend: the backend that reaches all other executions.
    """

    clock: Clock
    node: str

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._actors: dict[str, Actor] = {}
        self._names: dict[str, str] = {}  # names of this node's actors, which end with this process
        self._closing = False
        self._jobs = Jobs()

    def get(self, pid: str) -> Actor | None:
        return self._actors.get(pid)

    def forget(self, actor: Ended, outcome: Json) -> None:
        """Remove an ended actor, free its names, and then notify its watchers: they may register a name again."""
        self._actors.pop(actor.pid, None)
        names = [name for name, pid in self._names.items() if pid == actor.pid]
        for name in names:
            del self._names[name]
        error = msgspec.json.decode(outcome, type=Outcome).err
        if error is not None and error.kind != CANCELED and not self._closing and not actor.heard():
            log.warning("%s", one_line(_crash(actor, error)))
        if names:
            self._jobs.start(self._free(names, actor, outcome), f"freeing the names of {actor.pid}")
        else:
            self._tell_all(actor, outcome, failed=error is not None)

    async def _free(self, names: list[str], actor: Ended, outcome: Json) -> None:
        try:
            for name in names:
                await self.backend.unregister(name, actor.pid)
        finally:
            self._tell_all(actor, outcome, failed=msgspec.json.decode(outcome, type=Outcome).err is not None)

    def _tell_all(self, actor: Ended, outcome: Json, failed: bool) -> None:
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

    # --- messages ---------------------------------------------------------------------------

    def send_here(self, send: Send, sender: str, key: str = "", trace: str = "") -> bool:
        """Deliver to an actor of this node at once; return False if `send.to` is not one."""
        target = self._actors.get(send.to) or self._actors.get(self._names.get(send.to, ""))
        if target is None:
            return False
        target.receive(_message(send, sender, key, trace or self._trace(sender)))
        return True

    async def send(self, send: Send, sender: str, key: str = "", trace: str = "") -> Json:
        """See `saros.interfaces.host.Host.send`.

        :raises Error: NOT_FOUND.
        """
        if self.send_here(send, sender, key, trace):
            return b"true"
        pid = Pid.parse(await self.resolve(send.to))
        kept = "" if pid is not None and pid.is_workflow else key
        body = pack(_message(send, sender, kept, trace or self._trace(sender)))
        if pid is None or not await self.backend.send(pid, MESSAGE, body, key):
            raise not_found(send.to)
        return b"true"

    def _trace(self, pid: str | None) -> str:
        """Return the carrier of an actor of this process."""
        actor = self._actors.get(pid or "")
        return actor.scope.carrier if actor is not None else ""

    async def resolve(self, dest: str) -> str:
        """Resolve a destination, which is a pid, a registered name or a workflow id, to a pid. Return the
        destination itself if it cannot be resolved.
        """
        if Pid.parse(dest) is not None:
            return dest
        named = self._names.get(dest) or await self.backend.lookup(dest)
        if named:
            return named
        try:
            return (await self.backend.describe(dest)).pid
        except Error as error:
            if error.kind in (NOT_FOUND, INVALID):  # INVALID: the backend does not allow such an id
                return dest
            raise

    # --- requests ---------------------------------------------------------------------------

    async def read(self, ask: Ask) -> Json:
        """Answer a request of `READS`.

        :raises Error: see `saros.processes.reads.read`.
        """
        return await read(self, ask)

    async def ask(self, ask: Ask, asker: str, key: str = "") -> Json:
        """Carry out a request about another execution, and return a pid or true as JSON."""
        if ask.verb == "register":
            return await self._register(ask, asker)
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

    async def _register(self, ask: Ask, asker: str) -> Json:
        if ask.to != asker and ask.to not in self._actors and not await self._may_run(ask.to):
            raise not_found(ask.to)
        if not await self.backend.register(ask.name, ask.to):
            raise Error(f"the name {one_line(cut(ask.name))} is taken", ALREADY_EXISTS, retryable=False)
        if ask.to in self._actors:
            self._names[ask.name] = ask.to
        return b"true"

    async def _may_run(self, dest: str) -> bool:
        """Return whether a pid that is not an actor's of this process is running. Those of other nodes may."""
        pid = Pid.parse(dest)
        if pid is None or not pid.is_workflow:
            return pid is not None and pid.place != self.node
        try:
            return (await self.backend.describe(pid.id)).status == RUNNING
        except Error as error:
            if error.kind in (NOT_FOUND, INVALID):
                return False
            raise

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
            self.watch(target, asker, ask.verb == "link", ask.run_id)
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

    def watch(self, target: Actor, watcher: str, link: bool, run_id: str = "") -> None:
        if not link:
            target.watchers[watcher] = run_id
            return
        target.links.add(watcher)
        peer = self._actors.get(watcher)
        if peer is not None:
            peer.links.add(target.pid)


def _crash(actor: Ended, error: ErrorData) -> str:
    """Describe a failure that nobody monitors, for the log: entry, pid, message and the line of the code."""
    place = (error.stack or "").partition(": ")[0]
    line = f" ({place})" if place and not error.message.startswith(place) else ""
    return f"{actor.entry.id} {actor.pid} failed, and nobody monitors it: {error.message}{line}"


def _message(send: Send, sender: str, key: str, trace: str) -> Message:
    return Message(send.topic, sender, send.payloads, key, trace)


def not_found(dest: str) -> Error:
    return Error(f"process {one_line(cut(dest))} not found", NOT_FOUND, retryable=False)
