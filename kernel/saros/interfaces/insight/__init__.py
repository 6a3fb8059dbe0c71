"""Insight: what waits, for what, since when, and who works. For people who look; no program ever asks.

The fifth part of a store, beside history, timers, signals and activities, and what a backend makes of it for
clients. All times are nanoseconds since 1970 by the store's clock. Every struct is data, and its JSON is what
``--json`` prints.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

from ...model.execution import Description
from .pending import Pending

WORKFLOW: Final = "workflow"
ACTIVITY: Final = "activity"
"""With `WORKFLOW`: the kinds of tasks, of their queues and of the slots of workers."""


class Coroutine(msgspec.Struct, omit_defaults=True):
    """A coroutine that is blocked: `frames` of the user's code, innermost first, as ``file:line: in function``."""

    frames: list[str]
    waits: str = ""  # for what, such as ``activity app:charge``


class Stack(msgspec.Struct, omit_defaults=True):
    """Where the code of a run waits, and what it offers."""

    coroutines: list[Coroutine] = []
    topics: list[str] = []
    queries: list[str] = []
    updates: list[str] = []


class Slots(msgspec.Struct, omit_defaults=True):
    """How many tasks of a kind a worker may run at once, and does; `total` 0 means no limit of their number."""

    kind: str
    used: int
    total: int


class Worker(msgspec.Struct, omit_defaults=True):
    """A process that serves task queues.

    :param id: fresh for each start.
    :param identity: ``pid@host``.
    :param version: of Saros.
    :param app: a hash of the app's files: workers with different ones run different code.
    :param heard: when it was heard of last.
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
    :param oldest: since when the oldest of them waits.
    :param pollers: workers that ask for its tasks.
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
    """A schedule: what it starts, when it did last (newest first) and will next, and whether it is paused."""

    id: str
    workflow: str
    spec: str = ""  # such as ``0 9 * * *``, or ``every 5m``
    overlap: str = ""
    last: list[ScheduleRun] = []
    next: list[int] = []
    paused: Paused | None = None


class Page(msgspec.Struct):
    """A part of a list; `cursor` asks for the next one, and is empty after the last."""

    items: list[Description]
    cursor: str = ""


class InsightStore(Protocol):
    """The store's part. The engine adds what a history tells by itself."""

    async def pending(self, id: str, run_id: str = "") -> Pending | None:
        """What is under way in a run, the newest of its execution by default; None when there is none.

        `Pending.timers`, `children` and `requests` are left empty: the engine reads them from the history.
        """
        ...

    async def beat(self, worker: Worker, ns: int) -> None:
        """Announce a worker for the next `ns` nanoseconds, in place of what was said before; 0 takes it back."""
        ...

    async def workers(self) -> list[Worker]:
        """Those that are announced, with `heard`."""
        ...

    async def queues(self) -> list[Queue]:
        """The task queues that have had tasks, without `pollers`, which the engine knows from `workers`."""
        ...

    async def counts(self, query: str = "") -> dict[str, int]:
        """How many runs a query selects, by their status; see `counted`."""
        ...

    async def pause(self, schedule: str, paused: Paused | None) -> None:
        """Note that a schedule is paused; None takes it back."""
        ...

    async def paused(self) -> dict[str, Paused]:
        """The schedules that are paused, by their ids."""
        ...


class Insight(Protocol):
    """What clients and the command line ask a backend. A docstring of the backend says what it cannot tell."""

    async def pending(self, id: str, run_id: str = "") -> Pending:
        """:raises Error: NOT_FOUND."""
        ...

    async def stack(self, id: str, run_id: str = "") -> Stack:
        """Where the code of a run waits. The history is replayed here: no worker takes part.

        :raises Error: NOT_FOUND; NOT_FOUND or INVALID when the app, or its code, is not at hand; INTERNAL
            when the code no longer matches the history.
        """
        ...

    async def page(self, query: str = "", limit: int = 100, cursor: str = "") -> Page:
        """Runs that a query selects, newest start first, `limit` at most.

        :param cursor: of the page before; empty for the first.
        :raises Error: INVALID for a bad query or cursor.
        """
        ...

    async def counts(self, query: str = "") -> dict[str, int]:
        """How many runs a query selects, by their status; a status that none has is left out.

        :raises Error: INVALID for a bad query.
        """
        ...

    async def workers(self) -> list[Worker]: ...

    async def queues(self) -> list[Queue]: ...

    async def schedules(self) -> list[Schedule]:
        """Those of the app, and any others that the backend knows."""
        ...

    async def paused(self) -> dict[str, Paused]:
        """The schedules that are paused, by their ids."""
        ...

    async def pause(self, schedule: str, reason: str = "") -> None:
        """Have a schedule start nothing until it is resumed.

        :raises Error: NOT_FOUND.
        """
        ...

    async def resume(self, schedule: str) -> None:
        """:raises Error: NOT_FOUND."""
        ...

    async def trigger(self, schedule: str) -> str:
        """Have a schedule start its workflow now, paused or not, and whatever of it runs; gives the workflow's id.

        :raises Error: NOT_FOUND.
        """
        ...


async def counted(runs: AsyncIterator[Description]) -> dict[str, int]:
    """Runs by their status, for a store that has no faster way."""
    counts: dict[str, int] = {}
    async for run in runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    return counts
