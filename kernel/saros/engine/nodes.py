"""Requests between the actors of different nodes, and the news of an actor's end, even when its node has died.

A request is mail in the mailbox of the other node; the reply is mail in our own. A request without a reply is sent
again while the other node is alive; its key prevents it from being carried out twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from ..interfaces.nodes import LostNode, NodeMail
from ..interfaces.signals import Mail
from ..interfaces.store import Store
from ..model import values
from ..model.background import Job, together
from ..model.errors import NOT_FOUND, UNAVAILABLE, Error, ErrorData
from ..model.execution import Pid, Watcher, error_of, new_id, value_of
from ..model.records import (
    ASK,
    DONE,
    EXIT,
    LINK_DOWN,
    MESSAGE,
    Ask,
    Exit,
    Message,
    Outcome,
    outcome_ok,
    pack,
    unpack,
)
from ..model.values import Json

if TYPE_CHECKING:
    from ..interfaces.host import Host

log = logging.getLogger("saros.engine")

AGAIN_S = 2.0
"""A request without a reply is sent again after this time."""
PAUSE_S = 1.0
ANSWERS = 10_000
"""How many replies are remembered, for repeated requests."""

_DIED = pack(Outcome(err=ErrorData("its node died", UNAVAILABLE)))


class Nodes:
    """:param host: the host whose actors others may reach; None for a client, which only receives replies."""

    def __init__(self, store: Store, host: Host | None = None) -> None:
        self._store = store
        self.host = host
        self.node = host.node if host is not None else "@" + new_id()[:8]
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._answers: OrderedDict[str, Json] = OrderedDict()
        self._receiving: Job[None] | None = None
        self._joining = asyncio.Lock()

    async def join(self) -> None:
        """Register this node as alive, and begin to receive its mail."""
        async with self._joining:
            if self._receiving is None:
                await self._store.join_node(self.node)
                self._receiving = Job(self._receive(), f"the mail of {self.node}")

    async def close(self) -> None:
        if self._receiving is not None:
            await self._receiving.end()

    # --- requests -----------------------------------------------------------------------------

    async def request(self, pid: Pid, op: str, body: Json, asker: str = "", key: str = "") -> bool:
        """Send a request to an actor of any node; False if the actor or its node has ended."""
        id = new_id()
        mail = NodeMail(id, self.node, op, str(pid), msgspec.Raw(body), asker, key or id)
        if (
            self.host is not None and pid.place == self.host.node
        ):  # found by a name that another node registered
            return await self._carry_out(mail)
        await self.join()
        reply = self._waiting[id] = asyncio.get_running_loop().create_future()
        try:
            while await self._store.send_node(pid.place, mail):
                await asyncio.wait([reply], timeout=AGAIN_S)
                if reply.done():
                    return bool(values.decode(value_of(reply.result())))
            return False
        finally:
            del self._waiting[id]

    async def ask(self, pid: Pid, ask: Ask, asker: str, key: str = "") -> bool:
        if not await self.request(pid, ASK, pack(ask), asker, key):
            return False
        own = self.host.get(asker) if self.host is not None else None
        if own is not None and ask.verb == "link":
            own.links.add(str(pid))
            await self._store.watch_node(asker, Watcher(str(pid), link=True))
        elif own is not None and ask.verb == "unlink":
            own.links.discard(str(pid))
            await self._store.unwatch_node(asker, Watcher(str(pid), link=True))
        return True

    # --- those of others ----------------------------------------------------------------------

    async def _receive(self) -> None:
        while True:
            try:
                mails = await self._store.node_mail(self.node)
                replies = [reply for mail in mails if (reply := await self._take(mail)) is not None]
                await together(*(self._store.send_node(reply.to, reply) for reply in replies))
                continue
            except Error as error:
                log.warning("%s; listening to other nodes again in %.0f s", error, PAUSE_S)
            except Exception:  # a bug in Saros must not stop this node from receiving mail
                log.exception("mail of other nodes was not taken; trying again")
            await asyncio.sleep(PAUSE_S)

    async def _take(self, mail: NodeMail) -> NodeMail | None:
        """Carry out a request and return the reply."""
        if mail.op == DONE:
            waiting = self._waiting.get(mail.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(bytes(mail.body))
            return None
        outcome = self._answers.get(mail.key)
        if outcome is None:
            outcome = await self._outcome(mail)
            self._answers[mail.key] = outcome
            if len(self._answers) > ANSWERS:
                self._answers.popitem(last=False)
        return NodeMail(mail.id, self.node, DONE, mail.sender, msgspec.Raw(outcome))

    async def _outcome(self, mail: NodeMail) -> Json:
        try:
            return outcome_ok(b"true" if await self._carry_out(mail) else b"false")
        except Error as error:
            if error.kind == UNAVAILABLE:
                raise  # no reply: it comes again
            return pack(Outcome(err=values.error_data(error)))
        except Exception as raised:
            log.exception("could not carry out %s on %s for another node", mail.op, mail.to)
            return pack(Outcome(err=error_of(raised)))

    async def _carry_out(self, mail: NodeMail) -> bool:
        actor = self.host.get(mail.to) if self.host is not None else None
        if self.host is None or actor is None:
            return False
        if mail.op == ASK:
            return await self._answer(self.host, mail, unpack(mail.body, Ask))
        if mail.op in (EXIT, LINK_DOWN):
            actor.watched_end(mail.asker, bytes(mail.body), mail.op == LINK_DOWN)
        elif mail.op == MESSAGE:
            actor.receive(unpack(mail.body, Message))
        else:
            actor.deliver(mail.op, 0, bytes(mail.body))
        return True

    async def _answer(self, host: Host, mail: NodeMail, ask: Ask) -> bool:
        await self.note(mail.to, ask, mail.asker)
        try:
            await host.ask_about(mail.to, ask, mail.asker, mail.key)
        except Error as error:
            if error.kind != NOT_FOUND:
                raise
            if ask.verb in ("monitor", "link"):  # it has ended meanwhile
                watcher = Watcher(mail.asker, ask.run_id, link=ask.verb == "link")
                await self._store.unwatch_node(mail.to, watcher)
            return False
        return True

    # --- ends ---------------------------------------------------------------------------------

    async def note(self, dest: str, ask: Ask, asker: str) -> None:
        """Record in the store who watches an actor of this node from outside, before the watch begins."""
        actor = self.host.get(dest) if self.host is not None else None
        if self.host is None or actor is None or self.host.get(asker) is not None:
            return
        link = ask.verb in ("link", "unlink")
        before = "" if link else actor.watchers.get(asker, ask.run_id)
        if ask.verb in ("monitor", "link"):
            await self._store.watch_node(dest, Watcher(asker, ask.run_id, link=link))
            if before != ask.run_id:
                await self._store.unwatch_node(dest, Watcher(asker, before))
        elif ask.verb in ("unmonitor", "unlink"):
            await self._store.unwatch_node(dest, Watcher(asker, before, link=link))

    async def ended(self, ended: str, watcher: Watcher, outcome: Json) -> None:
        """Tell a watcher outside this node that an actor of this node has ended."""
        await self.tell(ended, watcher, outcome, f"{ended}:exit:{watcher.pid}")
        await self._store.unwatch_node(ended, watcher)

    async def tell(self, ended: str, watcher: Watcher, outcome: Json, key: str) -> None:
        """Tell a watcher anywhere of an end, unless the watcher has ended itself."""
        pid = Pid.parse(watcher.pid)
        if pid is None:
            return
        if pid.is_workflow:
            await self._store.post(pid.id, exit_mail(ended, outcome, watcher, key))
            return
        op = LINK_DOWN if watcher.link else EXIT
        key = f"{key}:{op}"
        if self.host is not None and pid.place == self.host.node:
            await self._take(NodeMail("", "", op, watcher.pid, msgspec.Raw(outcome), ended, key))
        else:
            await self.request(pid, op, outcome, ended, key)

    async def bury(self) -> None:
        """Tell the watchers of actors whose nodes have died. Every worker runs this until cancelled."""
        while True:
            for lost in await self._store.lost_nodes():
                await self._bury(lost)

    async def _bury(self, lost: LostNode) -> None:
        if lost.watches:
            log.warning("node %s has died; telling %d watchers", lost.node, len(lost.watches))
        tellings = [
            self.tell(pid, watcher, _DIED, f"{pid}:exit:{watcher.pid}") for pid, watcher in lost.watches
        ]
        await together(*tellings)
        await self._store.forget_node(lost.node)


def exit_mail(ended: str, outcome: Json, watcher: Watcher, key: str) -> Mail:
    """The mail for a watching workflow: the result of its own awaited command, or EXIT."""
    if watcher.ref:
        return Mail(DONE, watcher.ref, outcome, watcher.run_id, key)
    end = msgspec.json.decode(outcome, type=Outcome)
    return Mail(EXIT, 0, pack(Exit(ended, end.ok, end.err)), watcher.run_id, key)
