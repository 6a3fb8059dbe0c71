"""The courier: carries what executions ask of others out of the store's outbox, and the replies back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from .. import runs, values
from ..deployment import error_of
from ..entries import Entry
from ..errors import NOT_FOUND, Error
from ..execution import Parent, Pid, StartRequest, Watcher, check_id
from ..host import ProcessHost
from ..program import (
    ASK,
    DONE,
    EXIT,
    SEND,
    SPAWN,
    Ask,
    Exit,
    Outcome,
    Send,
    Spawn,
    outcome_ok,
    pack,
    unpack,
)
from ..store import Mail, Outgoing, Store
from ..values import Json
from .finishing import finished
from .names import under_its_name

log = logging.getLogger("saros.engine")

BATCH = 64


class Courier:
    def __init__(self, store: Store, host: ProcessHost) -> None:
        self._store = store
        self._host = host
        self._waiting: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Deliver until cancelled. One execution's entries are delivered in order."""
        while True:
            await finished(self._deliver_all(await self._store.outbox(BATCH)))

    async def _deliver_all(self, entries: Sequence[Outgoing]) -> None:
        for entry in entries:
            await self.deliver(entry)

    async def deliver(self, entry: Outgoing) -> None:
        reply: Mail | None = None
        try:
            outcome = await self._carry_out(entry)
        except Error as error:
            if error.kind == "Unavailable":
                raise  # its lease ends, and it is delivered again
            outcome = pack(Outcome(err=values.error_data(error)))
        except Exception as raised:  # an error of ours must not stop the others
            log.exception("could not deliver %s of %s", entry.op, entry.id)
            outcome = pack(Outcome(err=error_of(raised)))
        if entry.ref and outcome is not None:
            reply = Mail(DONE, entry.ref, outcome, entry.run_id, entry.key)
        await self._store.delivered(entry, reply)

    async def _carry_out(self, entry: Outgoing) -> Json | None:
        """Do what an entry asks; give the outcome for its sender, or None when that comes later."""
        if entry.op == SPAWN:
            return await self._spawn(entry, unpack(entry.body, Spawn))
        if entry.op == SEND:
            return outcome_ok(await self._host.send(unpack(entry.body, Send), entry.pid, entry.key))
        if entry.op == ASK:
            return outcome_ok(await self._host.ask(unpack(entry.body, Ask), entry.pid, entry.key))
        await self._notify(entry)
        return None

    async def _notify(self, entry: Outgoing) -> None:
        """Tell a watcher of an end; one that has ended itself needs no telling."""
        watcher = entry.to
        if watcher is None:
            return
        actor = self._host.get(watcher.pid)
        pid = Pid.parse(watcher.pid)
        if actor is not None:
            if entry.op == EXIT:
                actor.watched_end(entry.pid, entry.body, watcher.link)
        elif pid is not None and pid.is_workflow:
            await self._store.post(pid.id, exit_mail(entry.pid, entry.body, watcher, entry.key))
        elif pid is not None:
            await self._host.backend.notify_end(watcher.pid, entry.pid, entry.body, watcher.link)

    # --- children ---------------------------------------------------------------------------

    async def _spawn(self, entry: Outgoing, spawn: Spawn) -> Json | None:
        deployment = self._host.deployment
        target = deployment.registry.get(spawn.entry) or deployment.registry.by_type(spawn.entry)
        if target is None:
            raise Error(f"the app has no entry {spawn.entry}", NOT_FOUND, retryable=True)
        if target.role != "workflow":
            return await self._spawn_process(entry, target, spawn)
        worker, queue = deployment.worker_and_queue(target, spawn.host)
        ref = entry.ref if spawn.exec else 0
        watched = spawn.exec or spawn.monitor
        request = StartRequest(
            check_id(runs.child_id(entry.run_id, entry.ref, spawn)),
            target.id,
            target.type_name,
            worker,
            spawn.options.task_queue or queue,
            spawn.args,
            spawn.context,
            spawn.options,
            spawn.messages,
            spawn.name,
            Parent(entry.pid, entry.run_id),
            Watcher(entry.pid, entry.run_id, ref) if watched else None,
            entry.key,
        )
        request = await under_its_name(self._store, request)
        started = await self._store.start(runs.first(request, self._host.clock.now()), request)
        return None if spawn.exec else outcome_ok(pack(started.pid))

    async def _spawn_process(self, entry: Outgoing, target: Entry, spawn: Spawn) -> Json | None:
        if not spawn.exec:
            watched = msgspec.structs.replace(spawn, monitor=False)
            pid = msgspec.json.decode(await self._host.spawn(watched, None), type=str)
            actor = self._host.get(pid)
            if actor is not None and spawn.monitor:
                actor.watchers.add(entry.pid)
            return outcome_ok(pack(pid))

        async def wait() -> None:
            self._host.clock.busy(1)
            try:
                outcome = outcome_ok(await self._host.spawn(spawn, None))
            except Error as error:
                outcome = pack(Outcome(err=values.error_data(error)))
            finally:
                self._host.clock.busy(-1)
            await self._store.post(entry.id, Mail(DONE, entry.ref, outcome, entry.run_id, entry.key))

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return None

    async def close(self) -> None:
        """Forget the processes whose ends workflows still wait for."""
        for task in list(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)


def exit_mail(ended: str, outcome: Json, watcher: Watcher, key: str) -> Mail:
    """What a workflow that watches gets: the result of its own awaited command, or EXIT."""
    if watcher.ref:
        return Mail(DONE, watcher.ref, outcome, watcher.run_id, key)
    end = msgspec.json.decode(outcome, type=Outcome)
    return Mail(EXIT, 0, pack(Exit(ended, end.ok, end.err)), "", key)
