"""Insight: what waits, for what and since when, and which workers there are. For people only; programs never use it.

`InsightStore` is the fifth part of a store, beside history, timers, signals and activities; `Insight` is what a
backend offers to clients. All times are nanoseconds since 1970 by the store's clock. ``--json`` prints the JSON of
these structs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec

from ...model.execution import Description
from .pending import Pending, PendingActivity

WORKFLOW: Final = "workflow"
ACTIVITY: Final = "activity"
"""With `WORKFLOW`: the kinds of tasks, of task queues and of workers' slots."""
PARKED: Final = "parked"
RETRYING: Final = "retrying"
"""With `PARKED`: the troubles of running runs. A retrying run has an activity of which an attempt has failed."""


class Coroutine(msgspec.Struct, omit_defaults=True):
    """A coroutine that is blocked: `frames` of the user's code, innermost first, as ``file:line: in function``."""

    frames: list[str]
    waits: str = ""  # what it waits for, such as ``activity app:charge``


class Stack(msgspec.Struct, omit_defaults=True):
    """Where the code of a run waits, and its topics, queries and updates."""

    coroutines: list[Coroutine] = []
    topics: list[str] = []
    queries: list[str] = []
    updates: list[str] = []


class Slots(msgspec.Struct, omit_defaults=True):
    """How many tasks of a kind a worker may run at once, and runs now.

    :param total: 0 means no limit.
    :param task_queue: the only task queue whose tasks may take them; empty for all task queues of the worker.
    """

    kind: str
    used: int
    total: int
    task_queue: str = ""

    def serve(self, task_queue: str, kind: str) -> bool:
        """Return whether tasks of a kind on a task queue of the worker may take them."""
        return self.kind == kind and self.task_queue in ("", task_queue)


class Worker(msgspec.Struct, omit_defaults=True):
    """A process that serves task queues.

    :param id: fresh for each start.
    :param identity: ``pid@host``.
    :param version: of Saros.
    :param app: a hash of the app's files; workers with different hashes run different code.
    :param heard: the time of its last announcement.
    """

    id: str
    identity: str
    host: str = ""
    pid: int = 0
    version: str = ""
    app: str = ""
    task_queues: list[str] = []
    slots: list[Slots] = []
    started: int | None = None
    heard: int | None = None


class Queue(msgspec.Struct, omit_defaults=True):
    """The tasks of one kind on a task queue.

    :param waiting: tasks that no worker has yet; None where the backend cannot tell.
    :param oldest: the time since which the oldest of them waits.
    :param pollers: the number of workers that ask for its tasks.
    """

    name: str
    kind: str
    waiting: int | None = None
    oldest: int | None = None
    pollers: int = 0


class Paused(msgspec.Struct, frozen=True, omit_defaults=True):
    since: int
    reason: str = ""


class ScheduleRun(msgspec.Struct, omit_defaults=True):
    """A workflow that a schedule has started."""

    id: str
    run_id: str
    time: int
    status: str = ""


class Schedule(msgspec.Struct, omit_defaults=True):
    """A schedule: what it starts, its last runs (newest first) and next times, and whether it is paused."""

    id: str
    workflow: str
    spec: str = ""  # such as ``0 9 * * *``, or ``every 5m``
    overlap: str = ""
    last: list[ScheduleRun] = []
    next: list[int] = []
    paused: Paused | None = None


class Page(msgspec.Struct):
    """One page of a list; `cursor` requests the next page, and is empty on the last."""

    items: list[Description]
    cursor: str = ""


class InsightStore(Protocol):
    """The store's part. The engine adds what can be read from histories."""

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        """Return what is pending in a run, by default the newest of its execution; None if there is no such run.

        `Pending.timers`, `children` and `requests` stay empty, because the engine reads them from the history.
        """
        ...

    async def beat(self, worker: Worker, ns: int) -> None:
        """Announce a worker for the next `ns` nanoseconds, replacing its last announcement; 0 withdraws it."""
        ...

    async def workers(self) -> list[Worker]:
        """Return the announced workers, with `heard` set."""
        ...

    async def queues(self) -> list[Queue]:
        """Return the task queues that have had tasks. The engine sets `pollers`, which it knows from `workers`."""
        ...

    async def counts(self, query: str = "") -> dict[str, int]:
        """Return the number of runs that a query selects, by status; see `counted`."""
        ...

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        """Record that a schedule is paused; None means that it no longer is."""
        ...

    async def paused(self) -> dict[str, Paused]:
        """The schedules that are paused, by their ids."""
        ...


@runtime_checkable
class Finder(Protocol):
    """What a store or a backend may have besides: an index of the runs that are in trouble."""

    def troubled(self, trouble: str, query: str = "") -> AsyncIterator[Description] | None:
        """Return the running runs that a query selects and that are `PARKED` or `RETRYING`, newest first.

        Parked ones have their problems. None means that there is no such index.

        :raises Error: INVALID for a bad query, with the first run at the latest.
        """
        ...


class Insight(Protocol):
    """What clients and the command line may ask a backend. A backend documents what it does not know."""

    async def pending(self, id: str, run_id: str = "") -> Pending:
        """:raises Error: NOT_FOUND."""
        ...

    async def activities(self, id: str, run_id: str = "") -> list[PendingActivity]:
        """The activities of `pending`, without reading the history; what only a history tells is left out.

        :raises Error: NOT_FOUND.
        """
        ...

    async def stack(self, id: str, run_id: str = "") -> Stack:
        """Return where the code of a run waits. The history is replayed in this process, without a worker.

        :raises Error: NOT_FOUND; NOT_FOUND or INVALID if the app or its code is missing here; INTERNAL if the code
            no longer matches the history.
        """
        ...

    async def page(self, query: str = "", limit: int = 100, cursor: str = "") -> Page:
        """Return at most `limit` runs that a query selects, newest start first.

        :param cursor: `Page.cursor` of the previous page; empty for the first page.
        :raises Error: INVALID for a bad query or cursor.
        """
        ...

    async def counts(self, query: str = "") -> dict[str, int]:
        """Return the number of runs that a query selects, by status, without statuses of no runs.

        :raises Error: INVALID for a bad query.
        """
        ...

    async def workers(self, also: Sequence[str] = ()) -> list[Worker]:
        """Return the processes that serve task queues.

        :param also: see `queues`.
        """
        ...

    async def queues(self, also: Sequence[str] = ()) -> list[Queue]:
        """Return the task queues that the backend knows.

        :param also: others to ask about, for a backend that knows only those of the app and of some executions.
        """
        ...

    async def schedules(self) -> list[Schedule]:
        """Return the app's schedules, and any others that the backend knows."""
        ...

    async def paused(self) -> dict[str, Paused]:
        """The schedules that are paused, by their ids."""
        ...

    async def pause(self, schedule: str, reason: str = "") -> None:
        """Pause a schedule: it starts nothing until it is resumed.

        :raises Error: NOT_FOUND.
        """
        ...

    async def resume(self, schedule: str) -> None:
        """:raises Error: NOT_FOUND."""
        ...

    async def trigger(self, schedule: str) -> str:
        """Start a schedule's workflow now, even if the schedule is paused, and return its id.

        To the schedule's overlap policy, it is a run like any other.

        :raises Error: NOT_FOUND; CONFLICT when a run of the schedule goes on and the policy is not ``allow_all``.
        """
        ...


async def counted(runs: AsyncIterator[Description]) -> dict[str, int]:
    """Count runs by status, for a store that has no faster way."""
    counts: dict[str, int] = {}
    async for run in runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return counts
