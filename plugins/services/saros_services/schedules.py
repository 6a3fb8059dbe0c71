"""Schedules: starts workflows of ``schedule`` entries through any `Backend`.

Every worker process runs one, without coordination: the id of an occurrence's workflow consists of the schedule's
id and the occurrence's time, and each id starts only once. For the overlap policy, the backend is queried for
the schedule's open runs, which have the search attribute `MARK`.

Occurrences that pass while no worker runs are skipped. So are those that pass while all machines sleep, or that
a clock that is set forward jumps over, except the newest. When a clock is set back, those that come again start
only if they have not started before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from saros.entries import Entry
from saros.insight.occurrences import Occurrences, name_of, open_run, start_request
from saros.interfaces.backend import Backend
from saros.interfaces.deployment import Deployment
from saros.model.background import Job
from saros.model.clock import Handle
from saros.model.errors import ALREADY_EXISTS, NOT_FOUND, Error
from saros.model.execution import Description, Pid
from saros.model.records import CANCEL, Ask, CancelRequest, pack
from saros.model.timing import SECOND
from saros.model.values import error_data

log = logging.getLogger("saros.schedules")

PAUSE_NS = SECOND
"""The wait before a retry if the backend could not be reached."""
_FAILURES: Final = (Exception, BaseExceptionGroup, asyncio.CancelledError)
"""All that the code of a backend may raise; none of it ends a schedule."""


class Schedule:
    """One schedule entry. It notes occurrences when they are due; a background job starts them in order."""

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
        """Stop the schedule; workflows that it has started continue."""
        if self._timer is not None:
            self._timer.cancel()
        if self._job is not None:
            await self._job.end()

    # --- timing -----------------------------------------------------------------------------

    def _wait(self) -> None:
        time = self._occurrences.after(self._backend.clock.now())
        if time is None:
            log.warning(
                "%s will never be due again: its cron expression matches no future time", self.entry.id
            )
            return
        self._timer = self._backend.clock.call_on_date(time, lambda: self._note(time))

    def _note(self, time: int) -> None:
        now = self._backend.clock.now()
        if now >= time:  # otherwise the clock was set back
            if self._overlap in ("skip", "cancel_other", "terminate_other"):
                self._due.clear()  # only the newest counts
            if self._overlap != "buffer_one" or not self._due:
                self._due.append(self._occurrences.newest(time, now))
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
                clock.busy(1)  # virtual time must not pass until the occurrence is handled
                try:
                    running = await self._see_to(time)
                except _FAILURES as error:  # the schedule continues with its next occurrence
                    away = self._failed(error, time)
                finally:
                    clock.busy(-1)
                if away:
                    await self._pause()
                elif running is not None:
                    await self._end_of(running)

    def _raise_if_stopped(self, error: BaseException) -> None:
        """Pass on the cancellation of this schedule; any other comes from the backend, and is a failure."""
        if isinstance(error, asyncio.CancelledError) and (self._job is None or self._job.cancelled()):
            raise error

    def _failed(self, error: BaseException, time: int) -> bool:
        """Log a failure; True if the start should be retried, because it may succeed a little later."""
        self._raise_if_stopped(error)
        if isinstance(error, Error) and error_data(error).may_retry():
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
        if self.entry.id in await self._backend.paused():
            log.info("%s is left out: the schedule is paused", id)
            self._seen_to(time)
            return None
        running = await open_run(self._backend.executions, self.entry, id)
        if running is None:
            await self._start(id)
        elif self._overlap == "skip":
            log.info("%s is skipped: %s is still running", id, running.id)
        else:
            await self._stop_other(running)
            return running
        self._seen_to(time)
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
        except _FAILURES as error:  # the caller checks again whether it is running
            self._raise_if_stopped(error)
            if not isinstance(error, Error):
                log.exception("%s: waiting for the end of %s failed", self.entry.id, running.id)
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
        try:
            await self._backend.start(start_request(self._deployment, self.entry, id))
        except Error as error:
            if error.kind != ALREADY_EXISTS:  # another worker has started it
                raise
        else:
            log.info("%s started", id)
            if self._deployment.observer is not None:
                self._deployment.observer.fired(self.entry.id)


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
