"""Schedules: starts workflows of ``schedule`` entries through any `Backend`.

Every worker process runs a scheduler, and they need no coordination: the id of an occurrence's workflow consists
of the schedule's id and the occurrence's time, and each id starts only once. For the overlap policy, a scheduler
queries the backend for running workflows of the schedule by the search attribute `MARK`.

Occurrences that pass while no worker runs are skipped. If all workers were suspended, only the newest of the
missed occurrences starts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import zoneinfo
from collections import deque

import msgspec

from saros.entries import Entry, parse_duration
from saros.interfaces.backend import Backend
from saros.interfaces.deployment import Deployment
from saros.model import values
from saros.model.background import Job
from saros.model.clock import Handle
from saros.model.errors import ALREADY_EXISTS, NOT_FOUND, UNAVAILABLE, Error
from saros.model.execution import Description, Pid, StartRequest
from saros.model.records import CANCEL, Ask, CancelRequest, StartOptions, pack
from saros.model.timing import SECOND, Cron

log = logging.getLogger("saros.schedules")

MARK = "SarosSchedule"
"""The search attribute that names a run's schedule."""

PAUSE_NS = SECOND
"""The wait before a request to an unavailable backend is repeated."""


class Occurrences:
    """The times of a schedule, the same on every worker.

    For ``every`` they are the multiples of the duration since 1970, UTC; for ``cron``, `Cron` computes them.
    """

    def __init__(self, entry: Entry) -> None:
        every = entry.get("every")
        self._every = 0 if every is None else parse_duration(every)
        self._cron = None if self._every else Cron(entry.get("cron"))
        self._zone = zoneinfo.ZoneInfo(entry.get("timezone") or "UTC")

    def after(self, now: int) -> int | None:
        """Return the first time after `now`, both in nanoseconds since 1970; None if there are no more."""
        if self._cron is not None:
            return self._cron.after(now, self._zone)
        return (now // self._every + 1) * self._every


def name_of(time: int) -> str:
    """Format a time for a workflow id: ``2026-01-31T09:00:00Z``, with decimals as needed."""
    text = dt.datetime.fromtimestamp(time // SECOND, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{time % SECOND:09d}".rstrip("0")
    return f"{text}.{rest}Z" if rest else f"{text}Z"


class Schedule:
    """One schedule entry. A timer queues occurrences when they are due, and a separate task starts them in order."""

    def __init__(self, deployment: Deployment, backend: Backend, entry: Entry) -> None:
        self.entry = entry
        self._deployment = deployment
        self._backend = backend
        self._workflow = deployment.registry.workflow(entry.get("workflow"))
        self._overlap: str = entry.get("overlap")
        self._occurrences = Occurrences(entry)
        self._due: deque[int] = deque()
        self._noted = asyncio.Event()
        self._timer: Handle | None = None
        self._job: Job[None] | None = None

    def start(self) -> None:
        self._wait()
        self._job = Job(self._run(), f"the schedule {self.entry.id}")

    async def stop(self) -> None:
        """Stop the schedule; workflows that it has started go on."""
        if self._timer is not None:
            self._timer.cancel()
        if self._job is not None:
            await self._job.end()

    # --- timing -----------------------------------------------------------------------------

    def _wait(self) -> None:
        time = self._occurrences.after(self._backend.clock.now())
        if time is None:
            log.warning("%s has no further occurrence", self.entry.id)
            return
        self._timer = self._backend.clock.call_on_date(time, lambda: self._note(time))

    def _note(self, time: int) -> None:
        if self._overlap in ("skip", "cancel_other", "terminate_other"):
            self._due.clear()  # only the newest counts
        if self._overlap != "buffer_one" or not self._due:
            self._due.append(time)
        self._noted.set()
        self._wait()

    # --- starting ---------------------------------------------------------------------------

    async def _run(self) -> None:
        clock = self._backend.clock
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._due:
                running, away, time = None, False, self._due[0]
                clock.busy(1)  # virtual time stands still until the occurrence is handled
                try:
                    running = await self._see_to(time)
                except Exception as error:  # the schedule continues with its next occurrence
                    away = self._failed(error, time)
                finally:
                    clock.busy(-1)
                if away:
                    await self._pause()
                elif running is not None:
                    await self._end_of(running)

    def _failed(self, error: Exception, time: int) -> bool:
        """Log an error, and return whether to try again because the server is unavailable."""
        if isinstance(error, Error) and error.kind == UNAVAILABLE:
            log.warning("%s: %s; trying again", self.entry.id, error)
            return True
        unexpected = None if isinstance(error, Error) else error
        log.error("%s could not start %s: %s", self.entry.id, self._workflow.id, error, exc_info=unexpected)
        self._seen_to(time)
        return False

    def _seen_to(self, time: int) -> None:
        if self._due and self._due[0] == time:
            self._due.popleft()

    async def _see_to(self, time: int) -> Description | None:
        """Start an occurrence or skip it, or return the run that must end first."""
        id = f"{self.entry.id}-{name_of(time)}"
        running = None if self._overlap == "allow_all" else await self._running(id)
        if running is None:
            await self._start(id)
        elif self._overlap == "skip":
            log.info("%s is skipped: %s is still running", id, running.id)
        else:
            await self._stop_other(running)
            return running
        self._seen_to(time)
        return None

    async def _running(self, own: str) -> Description | None:
        """Return a running workflow of this schedule, other than the occurrence's own."""
        query = f"status = 'running' and {MARK} = '{self.entry.id}'"
        async for found in self._backend.executions(query):
            if found.id != own:
                return found
        return None

    async def _stop_other(self, running: Description) -> None:
        pid = Pid.parse(running.pid) or Pid("", running.id)
        why = f"the next run of {self.entry.id} is due"
        if self._overlap == "cancel_other":
            await self._backend.send(pid, CANCEL, pack(CancelRequest("", why)), f"{self.entry.id}:overlap")
        elif self._overlap == "terminate_other":
            await self._backend.ask(pid, Ask("terminate", reason=why), "")

    async def _end_of(self, running: Description) -> None:
        try:
            await self._backend.result(running.id, running.run_id)
        except Exception as error:  # the caller checks again whether it is running
            if not isinstance(error, Error):
                log.exception("%s could not wait for the end of %s", self.entry.id, running.id)
            elif error.kind == NOT_FOUND:
                return
            await self._pause()

    async def _pause(self) -> None:
        clock = self._backend.clock
        over = asyncio.Event()
        timer = clock.call_after(PAUSE_NS, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    async def _start(self, id: str) -> None:
        worker, queue = self._deployment.registry.worker_and_queue(self._workflow, self.entry.worker or "@")
        given = self.entry.get("input")
        request = StartRequest(
            id,
            self._workflow.id,
            self._workflow.type_name,
            worker,
            queue,
            msgspec.Raw(values.encode_args([] if given is None else [given])),
            options=StartOptions(
                id_conflict_policy="fail",
                id_reuse_policy="reject_duplicate",
                search_attributes=msgspec.Raw(values.encode({MARK: self.entry.id})),
            ),
            request_id=id,
        )
        try:
            await self._backend.start(request)
        except Error as error:
            if error.kind != ALREADY_EXISTS:  # another worker has started it
                raise
        else:
            log.info("%s started", id)


class Scheduler:
    """The schedules of an app."""

    def __init__(self, deployment: Deployment, backend: Backend) -> None:
        self.schedules = [
            Schedule(deployment, backend, entry) for entry in deployment.registry.of_kind("schedule")
        ]

    def start(self) -> None:
        for schedule in self.schedules:
            if schedule.entry.get("lifecycle.auto_start"):
                schedule.start()

    async def stop(self) -> None:
        for schedule in self.schedules:
            await schedule.stop()
