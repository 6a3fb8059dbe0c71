"""An actor: one program with a pid and a mailbox."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict, deque
from functools import partial

import msgspec

from ..entries import Entry
from ..interfaces.host import Done
from ..interfaces.observer import about_call
from ..interfaces.program import dispatch
from ..interfaces.runtime import CallScope
from ..model.errors import INVALID, NOT_FOUND, Error, ErrorData
from ..model.execution import Pid, error_of
from ..model.records import (
    CANCEL,
    CLOSING_OPS,
    DONE,
    EXIT,
    LINK_DOWN,
    MESSAGE,
    START,
    CancelRequest,
    ContinueAsNew,
    Event,
    Exit,
    Message,
    Outcome,
    Start,
    pack,
)
from ..model.text import cut, one_line
from ..model.values import Json, error_data
from .ports import ActorHost, UnderWay, ports_of

log = logging.getLogger("saros")

ROUNDS = 100
"""How often an actor runs in a row while its requests are met at once; then others have a turn."""

KEYS = 1_000
"""How many message keys an actor remembers."""


class Actor:
    """A running program and its `Facts`.

    :param done: called with the outcome when the program has ended for any reason.
    """

    def __init__(self, host: ActorHost, pid: str, entry: Entry, scope: CallScope, done: Done) -> None:
        self.host = host
        self.pid = pid
        self.entry = entry
        self.scope = scope
        scope.entry = entry.id
        self.ended = False
        self.watchers: dict[str, str] = {}  # pids that get the end as EXIT -> the run of a workflow
        self.links: set[str] = set()  # pids that get an abnormal end as LINK_DOWN
        self.awaited = True  # whether its starter waits for its end
        self._done = done
        self._mailbox: deque[Event] = deque()
        self._begun = False
        self._running = False
        self.asked = 0  # the steady clock's time of the program's last commands
        self._under_way = UnderWay(self)
        self._received: OrderedDict[str, None] = OrderedDict()  # keys of messages
        self._program = host.deployment.program(entry, workflow=False, facts=self)
        scope.on_cancel(lambda: self.deliver(CANCEL, 0, pack(CancelRequest())))

    def begin(
        self,
        args: msgspec.Raw,
        context: msgspec.Raw,
        messages: tuple[Json, ...] = (),
        cancels: tuple[CancelRequest, ...] = (),
    ) -> None:
        """Deliver START, and the messages and cancellations that are there when the code first looks."""
        info = msgspec.Raw(pack(self.scope.info))
        start = Start(args, context, info, self.pid, self.entry.id)
        first = [Event(START, 0, pack(start))] + [Event(MESSAGE, 0, body) for body in messages]
        first += [Event(CANCEL, 0, pack(cancel)) for cancel in cancels]
        self._mailbox.extendleft(reversed(first))
        self._begun = True
        self._pump()

    def deliver(self, op: str, ref: int, body: Json) -> None:
        """Put an event into the mailbox, and run the program unless it is running."""
        if self.ended:
            return
        self._mailbox.append(Event(op, ref, body))
        if self._begun and not self._running:
            self._pump()

    def receive(self, message: Message) -> None:
        """Deliver a message unless its key is known: a lost worker may have delivered it before."""
        if message.key in self._received:
            return
        if message.key:
            self._received[message.key] = None
            if len(self._received) > KEYS:
                self._received.popitem(last=False)
        self.deliver(MESSAGE, 0, pack(msgspec.structs.replace(message, key="")))

    def _pump(self) -> None:
        """Run the program until the mailbox is empty, or its turn is over."""
        self._running = True
        turns, rounds = self.host.deployment.turns, 0
        ports = ports_of(self, self._under_way)  # not kept: a cycle would wait for Python's collector
        try:
            while self._mailbox and not self.ended:
                rounds += 1
                if rounds > ROUNDS or turns.over():
                    break
                now = self.host.clock.now()
                events = [Event(event.op, event.ref, event.body, now) for event in self._mailbox]
                self._mailbox.clear()
                outputs = turns.counted(partial(self._program.advance, events))
                self.asked = self.host.clock.steady()
                self._mailbox.extendleft(reversed(events[len(outputs) :]))  # for the program after an upgrade
                for commands in outputs:
                    for command in commands:
                        if self.ended:
                            return
                        dispatch(command, ports)
                        if command.op in CLOSING_OPS:
                            return
        except Error as error:
            self.end(pack(Outcome(err=error_data(error))))
        except Exception as raised:  # an internal error: those who wait for the end must get it
            log.exception("%s failed", self.entry.id)
            self.end(pack(Outcome(err=error_of(raised))))
        finally:
            self._running = False
        if self._mailbox and not self.ended:
            self._running = True
            self.host.clock.busy(1)  # until then virtual time would go on
            turns.wait(self._resume)

    def _resume(self) -> None:
        self.host.clock.busy(-1)
        self._pump()

    def end(self, outcome: Json) -> None:
        """End at once with an `Outcome`, whatever the program still does."""
        if self.ended:
            return
        self.ended = True
        self._under_way.cancel_all()
        self._program.close()
        self.host.forget(self, outcome)
        self._done(outcome)

    def upgrade(self, request: ContinueAsNew) -> None:
        """Go on with a fresh program; keep the pid, the mail, the watchers and the name."""
        name = request.entry or self.entry.id
        entry = self.host.deployment.registry.get(name)
        if entry is None:
            error = ErrorData(f"the app has no entry {one_line(cut(name))}", NOT_FOUND, True)
            self.end(pack(Outcome(err=error)))
            return
        self._under_way.cancel_all()
        self._begun = False
        self._program.close()
        waiting = list(self._mailbox)
        self._mailbox.clear()
        try:
            self.entry = entry
            self._program = self.host.deployment.program(entry, workflow=False, facts=self)
        except Error as error:
            self.end(pack(Outcome(err=error_data(error))))
            return
        messages = tuple(pack(message) for message in request.mail)
        asyncio.get_running_loop().call_soon(self._begin_again, request, messages, waiting)

    def _begin_again(self, request: ContinueAsNew, messages: tuple[Json, ...], waiting: list[Event]) -> None:
        self._mailbox.extendleft(reversed([event for event in waiting if event.op != DONE]))
        self.begin(request.args, request.context, messages, request.cancels)

    def heard(self) -> bool:
        """Whether anybody watches for its end."""
        return self.awaited or bool(self.watchers or self.links)

    def watched_end(self, sender: str, outcome: Json, link: bool) -> None:
        """Handle the end of a monitored or linked peer.

        A link reports a normal end only if the peer is a workflow.
        """
        end = msgspec.json.decode(outcome, type=Outcome)
        op = LINK_DOWN if link and end.err is not None else EXIT
        self.links.discard(sender)
        pid = Pid.parse(sender)
        if link and op == EXIT and not (pid is not None and pid.is_workflow):
            return
        self.deliver(op, 0, pack(Exit(sender, end.ok, end.err)))

    # --- Facts ------------------------------------------------------------------------------

    replaying = False

    @property
    def name(self) -> str:
        return self.scope.name

    settles_side_effects = False

    def history(self) -> tuple[int, int]:
        return 0, 0

    def version_of(self, change_id: str, lowest: int, highest: int) -> tuple[int, bool]:
        return highest, False

    def recorded(self, ref: int) -> Json | None:
        return None

    def log(self, level: str, message: str, fields: Json) -> None:
        about = about_call(self.scope, self.entry.id)
        self.host.deployment.log(level, message, fields, self.entry.id, about)

    def heartbeat(self, details: Json) -> None:
        if self.scope.heartbeat is None:
            raise Error("this call is not an activity of a workflow, so it has no heartbeat", INVALID)
        self.scope.heartbeat(details)

    def is_canceled(self) -> bool:
        return self.scope.canceled

    def secret(self) -> str:
        return os.urandom(32).hex()

    def admit_attributes(self, search: Json) -> tuple[Json, str | None]:
        return b"{}", "only workflows have search attributes"
