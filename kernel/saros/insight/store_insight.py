"""`Insight` over any store, from the store's own data, its histories and replays."""

from __future__ import annotations

import abc
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec

from ..entries import Entry
from ..interfaces.deployment import Deployment
from ..interfaces.insight import (
    ACTIVITY,
    WORKFLOW,
    Coroutine,
    Finder,
    Page,
    Paused,
    Queue,
    Schedule,
    ScheduleRun,
    Stack,
    Worker,
)
from ..interfaces.insight.pending import Pending, PendingActivity
from ..interfaces.program import Inspection
from ..interfaces.store import Store
from ..model.clock import Clock
from ..model.errors import INTERNAL, NOT_FOUND, Error
from ..model.execution import RUNNING, Description, HistoryPage, Started, StartRequest
from .known_commands import KnownCommands
from .occurrences import (
    MARK,
    following,
    name_of,
    open_run,
    schedule_entry,
    spec_of,
    start_request,
    still_runs,
)
from .open_commands import OpenCommands, waits_for
from .pages import page_of

CHILDREN: Final = 20
"""The most children of a run that are looked up."""
RUNS: Final = 5
"""The number of last runs and of next times that a schedule shows."""


class StoreInsight(abc.ABC):
    """`saros.interfaces.insight.Insight` for a backend over a store."""

    store: Store
    clock: Clock
    commands: KnownCommands

    @property
    @abc.abstractmethod
    def deployment(self) -> Deployment: ...

    @abc.abstractmethod
    async def inspected(self, id: str, run_id: str) -> Inspection:
        """Replay a run and return what its program shows."""

    @abc.abstractmethod
    async def start(self, request: StartRequest) -> Started: ...

    # --- one execution ----------------------------------------------------------------------

    async def describe(self, id: str, run_id: str = "") -> Description:
        found = await self.store.describe(id, run_id)
        if found is None:
            raise _unknown(id)
        return found

    async def history(
        self, id: str, run_id: str = "", start: int = 0, wait: bool = False, limit: int = 0
    ) -> HistoryPage:
        while True:
            page = await self.store.history(id, run_id, start, limit)
            if page is None:
                raise _unknown(id)
            if page.records or page.status != RUNNING or not wait:
                return page
            await self.store.changed(id, page.run.run_id, start)

    async def release(self, id: str) -> None:
        if not await self.store.release(id):
            await self.describe(id)
            what = f"{id} has nothing that is parked or waits for a retry"
            raise Error(what, NOT_FOUND, retryable=False)

    async def pending(self, id: str, run_id: str = "") -> Pending:
        found = await self._of_store(id, run_id)
        if found.status == RUNNING:
            with _reading(id):
                (await self.commands.of(id, found.run_id)).add_to(found)
            for child in found.children[:CHILDREN]:
                told = await self.store.describe(child.id)
                if told is not None:
                    child.run_id, child.status = told.run_id, told.status
        return found

    async def activities(self, id: str, run_id: str = "") -> list[PendingActivity]:
        return (await self._of_store(id, run_id)).activities

    async def _of_store(self, id: str, run_id: str) -> Pending:
        with _reading(id):
            found = await self.store.pending(id, run_id)
        if found is None:
            raise _unknown(id)
        return found

    async def stack(self, id: str, run_id: str = "") -> Stack:
        pending = await self._of_store(id, run_id)
        if pending.status != RUNNING:
            return Stack()
        commands = await self.commands.of(id, pending.run_id)
        return stack_of(await self.inspected(id, pending.run_id), commands)

    # --- lists ------------------------------------------------------------------------------

    def executions(self, query: str = "") -> AsyncIterator[Description]:
        return self.store.executions(query)

    async def page(self, query: str = "", limit: int = 100, cursor: str = "") -> Page:
        return await page_of(self.store.executions, query, limit, cursor)

    def troubled(self, trouble: str, query: str = "") -> AsyncIterator[Description] | None:
        return self.store.troubled(trouble, query) if isinstance(self.store, Finder) else None

    async def counts(self, query: str = "") -> dict[str, int]:
        return await self.store.counts(query)

    async def count(self, query: str = "") -> int:
        return sum((await self.store.counts(query)).values())

    # --- workers ----------------------------------------------------------------------------

    async def workers(self, also: Sequence[str] = ()) -> list[Worker]:
        return sorted(await self.store.workers(), key=lambda worker: (worker.host, worker.pid, worker.id))

    async def queues(self, also: Sequence[str] = ()) -> list[Queue]:
        pollers: dict[str, int] = defaultdict(int)
        for worker in await self.store.workers():
            for name in worker.task_queues:
                pollers[name] += 1
        found = {(queue.name, queue.kind): queue for queue in await self.store.queues()}
        for name in sorted({*pollers, *(name for name, _ in found)}):
            for kind in (WORKFLOW, ACTIVITY):
                queue = found.setdefault((name, kind), Queue(name, kind, 0))
                queue.pollers = pollers.get(name, 0)
        return [found[key] for key in sorted(found, key=lambda key: (key[0], key[1] != WORKFLOW))]

    # --- schedules --------------------------------------------------------------------------

    async def schedules(self) -> list[Schedule]:
        paused = await self.store.paused()
        now = self.clock.now()
        return [
            Schedule(
                entry.id,
                entry.get("workflow"),
                spec_of(entry),
                entry.get("overlap"),
                await self._last(entry),
                following(entry, now, RUNS),
                paused.get(entry.id),
            )
            for entry in self.deployment.registry.of_kind("schedule")
        ]

    async def _last(self, entry: Entry) -> list[ScheduleRun]:
        page = await self.page(f"{MARK} = '{entry.id}'", RUNS)
        return [ScheduleRun(run.id, run.run_id, run.start_time, run.status) for run in page.items]

    def _schedule(self, id: str) -> Entry:
        return schedule_entry(self.deployment.registry, id)

    async def paused(self) -> dict[str, Paused]:
        return await self.store.paused()

    async def pause(self, schedule: str, reason: str = "") -> None:
        await self.store.pause(self._schedule(schedule).id, Paused(self.clock.now(), reason))

    async def resume(self, schedule: str) -> None:
        await self.store.pause(self._schedule(schedule).id, None)

    async def trigger(self, schedule: str) -> str:
        entry = self._schedule(schedule)
        running = await open_run(self.store.executions, entry)
        if running is not None:
            raise still_runs(entry, running.id)
        id = f"{entry.id}-triggered-{name_of(self.clock.now())}"
        return (await self.start(start_request(self.deployment, entry, id))).id


@contextlib.contextmanager
def _reading(id: str) -> Iterator[None]:
    """:raises Error: INTERNAL when what the store holds is damaged, or of another version."""
    try:
        yield
    except msgspec.MsgspecError as exc:
        raise Error(f"what is stored about {id} cannot be read: {exc}", INTERNAL, retryable=False) from exc


def _unknown(id: str) -> Error:
    return Error(f"workflow {id} not found", NOT_FOUND, retryable=False)


def stack_of(inspection: Inspection, commands: OpenCommands) -> Stack:
    """Return the stack of a program, with names for what its coroutines await."""
    coroutines = []
    for number, frames in enumerate(inspection.stacks):
        ref = inspection.waits[number] if number < len(inspection.waits) else 0
        command = commands.commands.get(ref)
        waits = waits_for(command) if command is not None else ""
        coroutines.append(Coroutine([line for line in frames.split("\n") if line], waits))
    return Stack(coroutines, list(inspection.topics), list(inspection.queries), list(inspection.updates))
