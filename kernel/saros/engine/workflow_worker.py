"""The workflow worker: takes tasks, runs programs, commits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence

from anyio import CancelScope, move_on_after

from ..interfaces.deployment import Deployment
from ..interfaces.history import WorkflowTask
from ..interfaces.host import Attempts
from ..interfaces.insight import WORKFLOW, Slots
from ..interfaces.observer import PARKED, Closed, about_run, tell_closed
from ..interfaces.store import FENCED, OK, Store
from ..model.background import FINISH_S, Jobs, shielded
from ..model.errors import Error
from ..model.execution import Record, error_of
from ..model.text import one_line
from ..model.timing import SECOND
from .activity_worker import ActivityWorkers
from .commit_builder import CommitBuilder, stored
from .live import Live
from .local_activities import LocalActivities
from .replay import loading
from .retry import failure_of

log = logging.getLogger("saros.engine")

BATCH = 64
CACHE = 256
"""How many live programs a worker keeps: at up to 0.5 MB of Lua each, 128 MB. Other programs are replayed when
they continue, which takes a millisecond per 200 events."""

PARK_NS = SECOND
PARK_MAX_NS = 60_000_000_000


def cache_size(deployment: Deployment) -> int:
    """How many live programs the app's workers may keep in this process: by default `CACHE`."""
    workers = deployment.registry.of_kind("temporal.worker")
    wanted = [worker.get("worker_options.max_cached_workflows") for worker in workers]
    return sum(int(size) for size in wanted if size is not None) or CACHE


class WorkflowWorker:
    """Serves task queues of one store in one process."""

    def __init__(
        self,
        store: Store,
        deployment: Deployment,
        attempts: Attempts,
        queues: Sequence[str],
        activities: ActivityWorkers,
        cache: int = CACHE,
    ) -> None:
        self.store = store
        self.deployment = deployment
        self.queues = queues
        self._attempts = attempts
        self._activities = activities
        self._cache: OrderedDict[str, Live] = OrderedDict()
        self._cache_size = cache
        self._begun: dict[str, WorkflowTask] = {}  # run id -> the task that is not yet committed or parked
        self._ahead: dict[
            str, tuple[int, list[Record]]
        ] = {}  # by fence: number of the first record, and records
        self._steady = attempts.clock.steady
        self._turns = deployment.turns
        self._waiting = Jobs()

    async def run(self) -> None:
        """Work until cancelled; then finish the tasks that have begun."""
        if self.deployment.observer is not None:
            self.deployment.observer.measure("saros_sticky_cache_size", {}, lambda: len(self._cache))
        try:
            while True:
                tasks = await self.store.take(self.queues, BATCH)
                await shielded(self.handle(tasks), "a workflow task")
        finally:
            with move_on_after(FINISH_S, shield=True):
                await self._waiting.wait()
            await self._waiting.end()
            with CancelScope(shield=True):
                await self._activities.drained()
            while self._cache:  # nothing uses them any more
                self._cache.popitem()[1].close()
            self._begun.clear()

    async def handle(self, tasks: Sequence[WorkflowTask]) -> None:
        """Run a batch of tasks and commit their effects."""
        finished: list[CommitBuilder] = []
        await self._read_ahead(tasks)
        for task in tasks:
            builder = await self._begin(task)
            if builder is None:
                continue
            if builder.local:
                self._waiting.start(self._finish_local(builder), f"a workflow task of {task.run.id}")
            else:
                finished.append(builder)
        if finished:
            await self._commit(finished)

    async def _begin(self, task: WorkflowTask) -> CommitBuilder | None:
        """Advance the run's program to the task's history, and deliver the mail; None if the task failed."""
        self._begun[task.run.run_id] = task
        if self.deployment.observer is not None:
            self.deployment.observer.taken(task.run.task_queue, task.run.type)
        try:
            live = await self._live(task)
            builder = CommitBuilder(task, live, self._steady)
            await self._turns.step(builder.begin)
            return builder
        except Error as error:
            await self._park(task, error)
        except Exception as error:  # a bug in Saros: the execution waits, the worker continues
            log.exception("workflow task of %s failed", task.run.id)
            await self._park(task, error)
        return None

    async def _live(self, task: WorkflowTask) -> Live:
        key = task.run.run_id
        live = self._cache.pop(key, None)
        if live is not None and (live.length > task.length or live.version != self.deployment.version):
            live.close()  # it has run further than the history, or its code is older than the app's
            live = None
        if self.deployment.observer is not None and task.length > 0:
            self.deployment.observer.cached(task.run.task_queue, task.run.type, live is not None)
        if live is None:
            if task.length == 0:
                live = Live(task.run, self.deployment)
                log.debug("%s %s starts", task.run.entry, task.run.id, extra=live.about)
            else:
                records, began = await self._records(task, 0), time.perf_counter()
                live = await self._turns.run(loading(task.run, self.deployment, records))
                self._replayed(task, len(records), began)
        elif live.length < task.length:
            records, began = await self._records(task, live.length), time.perf_counter()
            await self._turns.run(live.replay(records))
            self._replayed(task, len(records), began)
        live.in_use = True
        self._cache[key] = live
        self._shrink()
        return live

    def _replayed(self, task: WorkflowTask, events: int, began: float) -> None:
        observer = self.deployment.observer
        if observer is not None:
            observer.replayed(task.run.task_queue, task.run.type, events, time.perf_counter() - began)

    def _shrink(self) -> None:
        """Drop the least recently used programs beyond the cache's size, unless a task uses them."""
        while len(self._cache) > self._cache_size:
            oldest = next((run_id for run_id, live in self._cache.items() if not live.in_use), None)
            if oldest is None:
                return
            self._drop(oldest)

    async def _read_ahead(self, tasks: Sequence[WorkflowTask]) -> None:
        """Read concurrently the histories that the programs of a batch lack."""
        self._ahead.clear()
        lacking: list[tuple[WorkflowTask, int]] = []
        for task in tasks:
            live = self._cache.get(task.run.run_id)
            start = live.length if live is not None and live.length <= task.length else 0
            if start < task.length:
                lacking.append((task, start))
        if len(lacking) > 1:
            found = await asyncio.gather(*(self._read(*each) for each in lacking), return_exceptions=True)
            for (task, start), records in zip(lacking, found, strict=True):
                if not isinstance(
                    records, BaseException
                ):  # a failed read is repeated, and then fails only its own task
                    self._ahead[task.fence] = start, records

    async def _records(self, task: WorkflowTask, start: int) -> list[Record]:
        ahead = self._ahead.pop(task.fence, None)
        if ahead is not None and ahead[0] == start:
            return ahead[1]
        return await self._read(task, start)

    async def _read(self, task: WorkflowTask, start: int) -> list[Record]:
        page = await self.store.history(task.run.id, task.run.run_id, start)
        return page.records[: task.length - start] if page is not None else []

    # --- local activities --------------------------------------------------------------------

    async def _finish_local(self, builder: CommitBuilder) -> None:
        """Run local activities within the task, and commit when none is left or when they take too long."""
        run, live = builder.run, builder.live
        local = LocalActivities(self._attempts, self._activities, builder)
        try:
            await local.run()
        except Exception as error:
            local.give_up()
            if not isinstance(error, Error):  # see _begin
                log.exception("workflow task of %s failed", run.id)
            await self._park(builder.task, error)
            return
        try:
            await self._commit([builder], local)
        except Error as error:
            log.warning(
                "the task of %s was not stored, and is done again when its lease ends: %s", run.id, error
            )
            local.give_up()
            self._begun.pop(run.run_id, None)
            # Perhaps it was stored: then another worker's history may have the same length, but differ.
            if self._cache.get(run.run_id) is live:
                self._drop(run.run_id)

    # --- ends of tasks -----------------------------------------------------------------------

    async def _commit(self, builders: list[CommitBuilder], local: LocalActivities | None = None) -> None:
        results = await stored(self.store, [builder.ready() for builder in builders])
        for builder, result in zip(builders, results, strict=True):
            if isinstance(result, Exception):
                if local is not None:
                    local.give_up()
                await self._park(builder.task, result)
                continue
            self._begun.pop(builder.run.run_id, None)
            if result != OK:
                level = logging.INFO if result == FENCED else logging.DEBUG
                log.log(level, "a commit of %s was refused: %s", builder.run.id, result)
            self._tell(builder, result)
            builder.live.in_use = False
            if result != OK or builder.live.closed:
                self._drop(builder.run.run_id)
            if local is not None:
                local.hand_over() if result == OK else local.give_up()
            if result == OK:
                self._cancel_activities(builder)

    def _tell(self, builder: CommitBuilder, result: str) -> None:
        """Tell whoever observes, and the log, of a commit and of what it has closed."""
        run, close, observer = builder.run, builder.commit.close, self.deployment.observer
        if observer is not None:
            observer.task_ended(run.task_queue, run.type, run.run_id, result, builder.spent_s)
        if close is not None and result == OK:
            tell_closed(log, builder.live.about, close.status, failure_of(close.outcome))
            if observer is not None:
                trace = "" if run.continued_from else run.trace
                observer.closed(Closed(run.id, run.run_id, run.type, run.task_queue, close.status, trace))

    def _cancel_activities(self, builder: CommitBuilder) -> None:
        """End attempts in this process early if nobody waits for them any more."""
        run_id = builder.run.run_id
        for ref in (*builder.commit.canceled, *builder.commit.asked):
            self._activities.cancel(run_id, ref)
        if builder.live.closed:
            self._activities.cancel(run_id, None)

    async def _park(self, task: WorkflowTask, error: Exception) -> None:
        self._drop(task.run.run_id)
        self._begun.pop(task.run.run_id, None)
        data = error_of(error)
        where = error.where if isinstance(error, Error) else None
        problem = f"{data.message} ({where})" if where else data.message
        delay = min(PARK_NS * 2 ** min(task.failures, 10), PARK_MAX_NS)
        fields = {**about_run(task.run), "error_kind": data.kind, "error": one_line(problem)}
        log.warning("the workflow task of %s is parked: %s", task.run.id, one_line(problem), extra=fields)
        if self.deployment.observer is not None:
            run = task.run
            self.deployment.observer.task_ended(run.task_queue, run.type, run.run_id, PARKED, 0.0)
        self.deployment.refresh()
        await self.store.park(task, problem, delay)

    @property
    def slots(self) -> Slots:
        """How many tasks are under way; they run one after another, so that there is no limit."""
        return Slots(WORKFLOW, len(self._begun), 0)

    def task_of(self, run_id: str) -> WorkflowTask | None:
        """The task of a run that is in progress here. Thread-safe."""
        return self._begun.get(run_id)

    def _drop(self, run_id: str) -> None:
        live = self._cache.pop(run_id, None)
        if live is not None:
            live.close()

    def drop_all(self) -> None:
        """Drop every live program that no task uses; their next tasks replay."""
        for run_id in [run_id for run_id, live in self._cache.items() if not live.in_use]:
            self._drop(run_id)
