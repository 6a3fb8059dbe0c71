"""Supervision: keeps the processes of ``process.service`` entries running.

A service whose process fails is restarted after a delay that grows with each failure in a row. A service is not
restarted if its process ends normally, or fails with an error that is not retryable. (A crash, of kind Internal,
is restarted all the same.) If a process ran for longer than `stable_threshold` before it failed, the count of
failures starts again. While it runs, the process is registered under the id of the service.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping

import msgspec

from saros.entries import Entry, parse_duration
from saros.model import values
from saros.model.background import together
from saros.model.clock import Handle, backoff
from saros.model.errors import CANCELED, INTERNAL, TIMEOUT, CodeError, Error, ErrorData
from saros.model.records import CANCEL, EMPTY, NO_ARGS, CancelRequest, Outcome, pack
from saros.model.values import Json, error_data
from saros.processes import Actor, ProcessHost

log = logging.getLogger("saros.services")


class Restart(msgspec.Struct, frozen=True):
    """When a failed process is restarted; times in nanoseconds, 0 attempts means no limit."""

    max_attempts: int
    initial_delay: int
    max_delay: int
    backoff_factor: float
    jitter: float

    @classmethod
    def of(cls, entry: Entry) -> Restart:
        given = entry.get("lifecycle.restart")
        return cls(
            given["max_attempts"],
            parse_duration(given["initial_delay"]),
            parse_duration(given["max_delay"]),
            given["backoff_factor"],
            given["jitter"],
        )

    def delay(self, failures: int) -> int:
        """The wait after this many failures in a row."""
        delay = backoff(self.initial_delay, self.backoff_factor, self.max_delay, failures)
        return round(delay * random.uniform(1 - self.jitter, 1 + self.jitter)) if self.jitter else delay


class Service:
    """One supervised process.

    :param changed: called when its process has begun, and when the service is given up.
    """

    def __init__(self, host: ProcessHost, entry: Entry, changed: Callable[[], None]) -> None:
        self.entry = entry
        self.actor: Actor | None = None
        self.failures = 0  # in a row
        self.begun = False  # whether its process has run once without failing at once
        self.given_up = False
        self._host = host
        self._changed = changed
        self._restart = Restart.of(entry)
        self._start_limit = parse_duration(entry.get("lifecycle.start_timeout"))
        self._stable = parse_duration(entry.get("lifecycle.stable_threshold"))
        self.stop_limit = parse_duration(entry.get("lifecycle.stop_timeout"))
        self._began = 0
        self._timer: Handle | None = None
        self._stopping = False
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Start the process; a failure to start counts as a failure of the process."""
        self._timer = None
        self._began = self._host.clock.steady()
        args = self.entry.get("input")
        try:
            process = self._host.deployment.registry.entry(self.entry.get("process"))
            if self.entry.get("host"):
                self._host.check_host(process, self.entry.get("host"))
            actor = self.actor = self._host.start_process(
                process,
                msgspec.Raw(values.encode_args(args)) if args else NO_ARGS,
                EMPTY,
                done=self._ended,
                name=self.entry.id,
            )
        except Error as error:
            self._host.deployment.refresh()  # the code may be repaired before the next start
            self._failed(
                error_data(error), final=error.retryable is False and not isinstance(error, CodeError)
            )
        else:
            actor.awaited = True
            log.info("%s started (%s)", self.entry.id, process.id)
            # Its code first runs in the loop's next iteration, before this callback.
            asyncio.get_running_loop().call_soon(self._has_begun, actor)

    def _has_begun(self, actor: Actor) -> None:
        if self.actor is not actor:
            return  # it has ended
        took = self._host.clock.steady() - self._began
        if took > self._start_limit:
            late = f"its start took {took / 1e9:g} s; the limit is {self._start_limit / 1e9:g} s"
            actor.end(pack(Outcome(err=ErrorData(late, TIMEOUT))))
        else:
            self._note(begun=True)

    def _note(self, *, begun: bool = False, given_up: bool = False) -> None:
        self.begun, self.given_up = self.begun or begun, given_up
        if not self._stopping:
            self._changed()

    def _ended(self, outcome: Json) -> None:
        self.actor = None
        error = msgspec.json.decode(outcome, type=Outcome).err
        if self._stopping:
            self._stopped.set()
        elif error is None:
            log.info("%s ended: its process returned", self.entry.id)
            self._note(begun=True)
        else:
            self._failed(error, final=error.retryable is False and error.kind != INTERNAL)

    def _failed(self, error: ErrorData, *, final: bool) -> None:
        clock = self._host.clock
        if clock.steady() - self._began > self._stable:
            self.failures = 0
        self.failures += 1
        limit = self._restart.max_attempts
        if final:
            log.error(
                "%s is not restarted, because its error is not retryable: %s", self.entry.id, error.message
            )
            self._note(given_up=True)
        elif limit and self.failures > limit:
            log.error("%s does not restart after %d restarts: %s", self.entry.id, limit, error.message)
            self._note(given_up=True)
        else:
            delay = self._restart.delay(self.failures)
            log.warning("%s failed; it restarts in %g s: %s", self.entry.id, delay / 1e9, error.message)
            self._timer = clock.call_after(delay, self.start)

    async def stop(self, limit: int) -> None:
        """Ask the process to end, and kill it after `limit` nanoseconds."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        actor = self.actor
        if actor is None:
            return
        overdue = pack(Outcome(err=_OVERDUE))
        timer = self._host.clock.call_after(limit, lambda: actor.end(overdue))
        try:
            actor.deliver(CANCEL, 0, pack(CancelRequest("", "the service stops")))
            await self._stopped.wait()
        finally:
            timer.cancel()
        log.info("%s stopped", self.entry.id)


_OVERDUE = ErrorData("the service was stopped, and its process did not end in time", CANCELED, False)


class Supervisor:
    """The services of an app. Each starts after those that it depends on, and stops before them."""

    def __init__(self, host: ProcessHost) -> None:
        self._clock = host.clock
        self.services: dict[str, Service] = {}
        for entry in in_order(host.deployment.registry.of_kind("process.service")):
            self.services[entry.id] = Service(host, entry, self._start_ready)
        self._waiting: list[Service] = []

    def start(self) -> None:
        """Start the services that start automatically, each as soon as its dependencies have begun."""
        self._waiting = [each for each in self.services.values() if each.entry.get("lifecycle.auto_start")]
        self._start_ready()

    def _start_ready(self) -> None:
        waiting, self._waiting = self._waiting, []
        ready = []
        for service in waiting:
            needed = self._of(service.entry.dependencies)
            missing = [
                other for other in needed if not other.begun and other.entry.get("lifecycle.auto_start")
            ]
            lost = next((other for other in missing if other.given_up), None)
            if lost is not None:
                log.error("%s does not start, because it depends on %s", service.entry.id, lost.entry.id)
                service.given_up = True  # for those that depend on it, which come later
            elif missing:
                self._waiting.append(service)
            else:
                ready.append(service)
        for service in ready:
            service.start()

    def _of(self, ids: Iterable[str]) -> list[Service]:
        return [self.services[id] for id in ids if id in self.services]

    async def stop(self) -> None:
        """Stop the services concurrently, each one after the services that depend on it.

        All stop within the longest `stop_timeout`: a service and the services that must stop after it, one after
        another, share the remaining time equally.
        """
        self._waiting = []
        if not self.services:
            return
        until = self._clock.steady() + max(each.stop_limit for each in self.services.values())
        stopped = {id: asyncio.Event() for id in self.services}
        users = {id: [user.id for user in self._entries() if id in user.dependencies] for id in self.services}
        below = self._depths()

        async def stop(service: Service) -> None:
            id = service.entry.id
            try:
                for user in users[id]:
                    await stopped[user].wait()
                left = max(0, until - self._clock.steady())
                await service.stop(min(service.stop_limit, left // below[id]))
            finally:
                stopped[id].set()

        await together(*(stop(service) for service in self.services.values()))

    def _entries(self) -> list[Entry]:
        return [service.entry for service in self.services.values()]

    def _depths(self) -> Mapping[str, int]:
        """For each service, how many stop one after another from it on: itself and its dependencies."""
        depths: dict[str, int] = {}
        for id, service in self.services.items():  # dependencies come first
            needed = [depths[other.entry.id] for other in self._of(service.entry.dependencies)]
            depths[id] = 1 + max(needed, default=0)
        return depths


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries so that each comes after its dependencies; otherwise keep the given order."""
    waiting = {entry.id: entry for entry in entries}
    result: list[Entry] = []

    def place(id: str) -> None:
        entry = waiting.pop(id, None)
        if entry is not None:
            for target in entry.dependencies:
                place(target)
            result.append(entry)

    for id in list(waiting):
        place(id)
    return result
