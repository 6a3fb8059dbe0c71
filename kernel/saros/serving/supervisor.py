"""Supervision: keeps the processes of ``process.service`` entries running.

A service whose process fails is started again after a delay that grows with each failure in a row; one whose
process ends normally has done its work. A process that ran for longer than `max_delay` before it failed had
recovered: its failures are counted anew. While it runs, the process is registered under the service's id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from ..clock import Handle, backoff
from ..entries import Entry, parse_duration
from ..errors import Error, ErrorData
from ..host import Actor, ProcessHost
from ..program import CANCEL, EMPTY, NO_ARGS, CancelRequest, Outcome, pack
from ..values import Json, error_data

log = logging.getLogger("saros.services")

GRACE_NS = 10 * 1_000_000_000
"""How long a process may go on after it was asked to end."""


class Restart(msgspec.Struct, frozen=True):
    """When a failed process starts again; times in nanoseconds, 0 attempts means no limit."""

    max_attempts: int
    initial_delay: int
    max_delay: int
    backoff_factor: float

    @classmethod
    def of(cls, entry: Entry) -> Restart:
        given = entry.get("lifecycle.restart")
        return cls(
            given["max_attempts"],
            parse_duration(given["initial_delay"]),
            parse_duration(given["max_delay"]),
            given["backoff_factor"],
        )

    def delay(self, failures: int) -> int:
        """The wait after so many failures in a row."""
        return backoff(self.initial_delay, self.backoff_factor, self.max_delay, failures)


class Service:
    """One supervised process."""

    def __init__(self, host: ProcessHost, entry: Entry) -> None:
        self.entry = entry
        self.actor: Actor | None = None
        self.failures = 0  # in a row
        self._host = host
        self._process = host.deployment.entry(entry.get("process"))
        self._restart = Restart.of(entry)
        self._began = 0
        self._timer: Handle | None = None
        self._stopping = False
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Start the process; a failure counts as one of the process."""
        self._timer = None
        self._began = self._host.clock.steady()
        try:
            if self.entry.get("host"):
                self._host.check_host(self._process, self.entry.get("host"))
            self.actor = self._host.start_process(
                self._process, NO_ARGS, EMPTY, done=self._ended, name=self.entry.id
            )
        except Error as error:
            self._host.deployment.refresh()  # somebody may have repaired the code by the next time
            self._failed(error_data(error))
        else:
            log.info("%s started (%s)", self.entry.id, self._process.id)

    def _ended(self, outcome: Json) -> None:
        self.actor = None
        error = msgspec.json.decode(outcome, type=Outcome).err
        if self._stopping:
            self._stopped.set()
        elif error is None:
            log.info("%s ended: its process returned", self.entry.id)
        else:
            self._failed(error)

    def _failed(self, error: ErrorData) -> None:
        clock = self._host.clock
        if clock.steady() - self._began > self._restart.max_delay:
            self.failures = 0
        self.failures += 1
        limit = self._restart.max_attempts
        if limit and self.failures > limit:
            log.error("%s is given up after %d restarts: %s", self.entry.id, limit, error.message)
            return
        delay = self._restart.delay(self.failures)
        log.warning("%s failed, and starts again in %g s: %s", self.entry.id, delay / 1e9, error.message)
        self._timer = clock.call_after(delay, self.start)

    async def stop(self) -> None:
        """Ask the process to end, and end it after `GRACE_NS`."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        actor = self.actor
        if actor is None:
            return
        clock = self._host.clock
        limit = clock.call_after(GRACE_NS, lambda: actor.end(pack(Outcome(err=_OVERDUE))))
        try:
            actor.deliver(CANCEL, 0, pack(CancelRequest("", "the service stops")))
            await self._stopped.wait()
        finally:
            limit.cancel()
        log.info("%s stopped", self.entry.id)


_OVERDUE = ErrorData("the service was stopped, and its process did not end in time", "Canceled", False)


class Supervisor:
    """The services of an app, each started after those that it depends on and stopped before them."""

    def __init__(self, host: ProcessHost) -> None:
        entries = host.deployment.registry.of_kind("process.service")
        self.services = [Service(host, entry) for entry in in_order(entries)]

    def start(self) -> None:
        for service in self.services:
            if service.entry.get("lifecycle.auto_start"):
                service.start()

    async def stop(self) -> None:
        for service in reversed(self.services):
            await service.stop()


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries such that each comes after those that it depends on; otherwise in the given order."""
    waiting = {entry.id: entry for entry in entries}
    result: list[Entry] = []

    def place(id: str) -> None:
        entry = waiting.pop(id, None)
        if entry is not None:
            for target in entry.get("lifecycle.depends_on") or ():
                place(target)
            result.append(entry)

    for id in list(waiting):
        place(id)
    return result
