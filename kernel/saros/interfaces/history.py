"""Histories: what an execution records about itself, and the runs, tasks and records that a store keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

from ..model.errors import ALREADY_EXISTS, CANCELED, TIMEOUT, Error, ErrorData
from ..model.execution import (
    COMPLETED,
    CONTINUED,
    RUNNING,
    Description,
    HistoryPage,
    Run,
    Started,
    StartRequest,
)
from ..model.records import Answer, Attributes, ContinueAsNew, Outcome, VersionMark, pack
from ..model.timing import MS
from ..model.values import Json
from .signals import Mail


class History(Protocol):
    """What an execution records about itself; none of these commands settles."""

    def attributes(self, upserts: Attributes) -> None: ...

    def version(self, mark: VersionMark) -> None: ...

    def side_effect(self, ref: int, value: Json) -> None: ...

    def answer(self, answer: Answer) -> None: ...

    def continue_as_new(self, request: ContinueAsNew) -> None: ...

    def complete(self, result: Json) -> None: ...

    def fail(self, error: ErrorData) -> None: ...


class WorkflowTask(NamedTuple):
    """A run with mail, leased to one worker: only a commit with this `fence` is accepted."""

    run: Run
    fence: str
    length: int  # records of history
    mails: Sequence[Mail]
    now: int
    failures: int  # how many times in a row this task was parked
    hangs: int = 0  # how many of these times it had blocked its worker


def timed_out(ms: int) -> Json:
    """The `Outcome` of a run that has exceeded its `run_timeout` or `execution_timeout`, in milliseconds."""
    return pack(Outcome(err=ErrorData(f"timed out after {ms / 1000:g} s", TIMEOUT, False)))


class Limit(NamedTuple):
    """The time in nanoseconds after which a run ends as timed out.

    It counts from the creation of the run, or with `total` from that of the execution's first run. With `again`,
    another run may follow; that requires a TIME_OUT in the outbox.
    """

    delay: int
    outcome: Json
    again: bool
    total: bool


class NewRun(NamedTuple):
    """A run to create, with its first mail (START, then messages)."""

    run: Run
    mails: tuple[Mail, ...]
    delay: int = 0  # nanoseconds until its first task, unless CANCEL comes first

    @property
    def limits(self) -> list[Limit]:
        """The limits that the run's options set."""
        options = self.run.options
        found = []
        if options.run_timeout:
            delay = self.delay + options.run_timeout * MS
            again = options.retry_policy is not None or bool(options.cron_schedule)
            found.append(Limit(delay, timed_out(options.run_timeout), again, False))
        if options.execution_timeout:
            delay = options.execution_timeout * MS
            found.append(Limit(delay, timed_out(options.execution_timeout), False, True))
        return found

    def begins_in_time(self, passed: int) -> bool:
        """Return whether a run that continues another would begin within the execution timeout.

        One without a delay always does: it ends at once if the time is over.

        :param passed: nanoseconds since the creation of the first run, by the store's steady clock.
        """
        total = self.run.options.execution_timeout * MS
        return not total or self.delay <= 0 or passed + self.delay < total


class Close(NamedTuple):
    """The end of a run; `next` continues the execution (continue-as-new, retry, cron).

    The store drops a `next` that would not begin in time (see `NewRun.begins_in_time`): only the store knows how much
    time has passed by a clock that nobody sets.
    """

    status: str
    outcome: Json  # an `Outcome`
    next: NewRun | None = None


def check_use(request: StartRequest, run_id: str, status: str) -> None:
    """Refuse a start that the policies of its options do not allow beside the newest run of its id.

    :param run_id: of that run; `status` is its status.
    :raises Error: ALREADY_EXISTS.
    """
    options = request.options
    if status == RUNNING:
        if options.id_conflict_policy == "fail" or options.execution_error_when_already_started:
            raise already_exists(request.id, run_id, "is running")
    elif options.id_reuse_policy == "reject_duplicate":
        raise already_exists(request.id, run_id, "was used before")
    elif options.id_reuse_policy == "allow_duplicate_failed_only" and status in (COMPLETED, CONTINUED):
        raise already_exists(request.id, run_id, "has completed before")


def already_exists(id: str, run_id: str, what: str) -> Error:
    """The error for a start under an id that already has a run.

    :param what: the state of that run, such as "is running".
    """
    return Error(
        f"workflow {id} {what}",
        ALREADY_EXISTS,
        retryable=False,
        details={"workflow_id": id, "run_id": run_id},
    )


def withdrawn(id: str) -> Error:
    """The error for a start request that was withdrawn before it was carried out."""
    return Error(f"the start of workflow {id} was withdrawn", CANCELED, retryable=False)


LAST: Final = -1
"""As `start` of a history: only its last record."""
UNTIL_CLOSED: Final = 1 << 62


class HistoryStore(Protocol):
    """The store's part: executions, their records, and the workflow tasks of executions that have mail."""

    async def start(self, new: NewRun, request: StartRequest) -> Started:
        """Create an execution, under the request's id policies.

        An execution that is already running gets the request's messages and watcher (`use_existing`).

        :raises Error: ALREADY_EXISTS, with the running or last run's id in the details; CANCELED when the
            request was withdrawn (see `post` and `terminate`).
        """
        ...

    async def terminate(self, id: str, outcome: Json, run_id: str = "", request: str = "") -> bool:
        """End a run at once as terminated; False if none is running.

        :param request: end only the run that this start request made; see `post` for a request that has not
            been carried out yet.
        """
        ...

    async def time_out(self, id: str, run_id: str, outcome: Json, following: NewRun | None) -> bool:
        """End a run as timed out; False if it has ended. Its execution continues with `following`, if any."""
        ...

    async def release(self, id: str) -> bool:
        """Try now what is parked, set aside or waits for a retry of a running execution; False if nothing is."""
        ...

    async def describe(self, id: str, run_id: str = "") -> Description | None:
        """Describe a run, by default the newest of its execution; None if there is none."""
        ...

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        """Every run that a query (see `saros.insight.query`) selects, newest start first."""
        ...

    async def history(self, id: str, run_id: str = "", start: int = 0, limit: int = 0) -> HistoryPage | None:
        """The records of a run from number `start` on, `limit` at most (0: all); with `LAST`, only the last one."""
        ...

    async def changed(self, id: str, run_id: str, length: int) -> None:
        """Return once the run has more than `length` records or is closed (or, at the latest, after a while).

        With `UNTIL_CLOSED` as `length`, only the end of the run counts.
        """
        ...

    async def take(self, queues: Sequence[str], limit: int) -> list[WorkflowTask]:
        """Lease runs that have mail; block until there is at least one."""
        ...

    async def park(self, task: WorkflowTask, problem: str, delay: int, *, hung: bool = False) -> None:
        """Give a failed task back, to be taken again after `delay` ns (-1: once it is released). Its mail stays.

        :param hung: the task has blocked its worker, whose process is about to end.
        """
        ...
