"""Reads the state of a namespace: pending work, workers, queue lengths and schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.client import (
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleInfo,
)
from temporalio.service import RPCError

from saros.entries import Entry
from saros.insight.occurrences import BESIDE, spec_of, still_runs
from saros.interfaces.insight import ACTIVITY, WORKFLOW, Paused, Queue, Schedule, Worker
from saros.interfaces.insight.pending import (
    Failure,
    Parked,
    Pending,
    PendingActivity,
    PendingChild,
    PendingTask,
)
from saros.model.background import each
from saros.model.errors import TIMEOUT, Error
from saros.model.execution import RUNNING, Description
from saros.model.raw import Raw
from saros.model.timing import SECOND

from ..wire.failures import error_in
from ..wire.payloads import decoded, to_json
from .descriptions import STATUS
from .history_client import HistoryClient
from .namespace import Namespace
from .schedules import run_of, schedule_id

RUNS: Final = 5
TRIGGERED_S: Final = 20.0
"""The time for the server to start the workflow of a triggered schedule."""
POLLS_NS: Final = 90 * SECOND
"""A worker that lives has polled within this time: a poll takes a minute at most. The server remembers it for
minutes, by its own clock."""
AT_ONCE: Final = 8
"""Requests about task queues that are sent concurrently."""
_STATUS: Final[dict[int, str]] = {int(number): status for number, status in STATUS.items()}
_KINDS: Final = {
    WORKFLOW: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    ACTIVITY: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


class _Told(NamedTuple):
    """What the server tells of the tasks of one kind on a task queue."""

    name: str
    kind: str
    response: DescribeTaskQueueResponse


class InsightClient:
    """Temporal does not tell the version of Saros, the app or the slots of workers, nor the task queues that
    no worker of this app serves; a paused schedule does not tell since when.
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._client = namespace.client

    # --- one execution ------------------------------------------------------------------------

    async def pending(self, description: Description) -> Pending:
        """Return the pending operations of a run.

        The server itself tells activities and children; timers and signals on their way are read from the history,
        page by page.
        """
        found = Pending(description.id, description.run_id, description.status, description.task_queue)
        if found.status != RUNNING:
            return found
        told = await self._told(found.id, found.run_id)
        infos = {info.activity_id: info for info in told.pending_activities}
        length = told.workflow_execution_info.history_length
        try:
            opened = await self._namespace.opened.of(found.id, found.run_id, length)
        except RPCError as error:
            raise self._namespace.error(error, found.id) from error
        opened.commands.add_to(found)
        found.children = [
            PendingChild(each.initiated_id, each.workflow_id, each.workflow_type_name, each.run_id, RUNNING)
            for each in told.pending_children
        ]
        for id, event in opened.activities.items():
            if id in infos:
                activity = await self._activity(infos[id])
                activity.ref, activity.scheduled = event.event_id, event.event_time.ToNanoseconds()
                activity.task_queue = event.activity_task_scheduled_event_attributes.task_queue.name
                found.activities.append(activity)
        await self._add_task(told, found)
        return found

    async def activities(self, id: str, run_id: str) -> list[PendingActivity]:
        """Return the pending activities of a run without `ref` and `scheduled`, which only the history has."""
        told = await self._told(id, run_id)
        return [await self._activity(info) for info in told.pending_activities]

    async def _told(self, id: str, run_id: str) -> DescribeWorkflowExecutionResponse:
        request = DescribeWorkflowExecutionRequest(namespace=self._client.namespace)
        request.execution.workflow_id, request.execution.run_id = id, run_id
        try:
            return await self._client.workflow_service.describe_workflow_execution(request, retry=True)
        except RPCError as error:
            raise self._namespace.error(error, id) from error

    async def _activity(self, info: PendingActivityInfo) -> PendingActivity:
        queue = info.activity_options.task_queue.name  # older servers do not tell it
        found = PendingActivity(0, info.activity_type.name, queue, info.activity_id, max(info.attempt, 1))
        waits = info.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        if not waits:
            found.started = info.last_started_time.ToNanoseconds()
            found.worker = info.last_worker_identity
        elif info.attempt > 1:
            found.next_attempt = info.scheduled_time.ToNanoseconds()
        found.canceled = info.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
        if info.HasField("last_failure"):
            error = error_in(info.last_failure)
            found.failure = Failure(error.message, error.kind)
        if info.heartbeat_details.payloads:
            payload = (await decoded(self._client.data_converter, info.heartbeat_details.payloads))[0]
            found.heartbeat = Raw(to_json(payload))
            found.heartbeat_time = info.last_heartbeat_time.ToNanoseconds()
        return found

    async def _add_task(self, told: DescribeWorkflowExecutionResponse, found: Pending) -> None:
        if not told.HasField("pending_workflow_task"):
            return
        task = told.pending_workflow_task
        since = task.original_scheduled_time.ToNanoseconds() or task.scheduled_time.ToNanoseconds()
        if task.attempt > 1:
            problem = await HistoryClient(self._namespace, found.id, found.run_id).problem()
            if problem is not None:
                following = task.scheduled_time.ToNanoseconds() or since
                found.parked = Parked(problem.text, task.attempt - 1, problem.since, following)
        found.task = PendingTask(found.task_queue, since, max(task.attempt, 1))
        if task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED:
            found.task.started = task.started_time.ToNanoseconds()

    # --- workers ------------------------------------------------------------------------------

    async def _task_queue(self, name: str, kind: str) -> DescribeTaskQueueResponse:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=_KINDS[kind],
            report_stats=True,
        )
        try:
            return await self._client.workflow_service.describe_task_queue(request, retry=True)
        except RPCError as error:
            raise self._namespace.error(error, "") from error

    async def workers(self, queues: Sequence[str], now: int) -> list[Worker]:
        """Return the workers that poll these task queues."""
        found: dict[str, Worker] = {}
        for told in await each(self._polled, [(name, kind) for name in queues for kind in _KINDS], AT_ONCE):
            for poller in told.response.pollers:
                name = poller.identity
                pid, _, place = name.partition("@")
                host, number = place.partition("/")[0], int(pid) if pid.isdigit() else 0
                worker = found.setdefault(name, Worker(name, name, host, number))
                worker.app = worker.app or poller.worker_version_capabilities.build_id
                if told.name not in worker.task_queues:
                    worker.task_queues.append(told.name)
                worker.heard = max(worker.heard or 0, poller.last_access_time.ToNanoseconds())
        return [worker for worker in found.values() if now - (worker.heard or 0) < POLLS_NS]

    async def queues(self, names: Sequence[str], now: int) -> list[Queue]:
        """Return these task queues, with the workers that poll them.

        A worker whose slots are taken does not ask for more activities, but still for workflow tasks.
        """
        found = []
        asked = [(name, kind) for name in names for kind in _KINDS]
        told = await each(self._polled, asked, AT_ONCE)
        alive = {
            poller.identity
            for one in told
            for poller in one.response.pollers
            if now - poller.last_access_time.ToNanoseconds() < POLLS_NS
        }
        for name, kind, response in told:
            pollers = {poller.identity for poller in response.pollers} & alive
            queue = Queue(name, kind, pollers=len(pollers))
            if response.HasField("stats"):
                queue.waiting = response.stats.approximate_backlog_count
                if queue.waiting:
                    queue.oldest = now - response.stats.approximate_backlog_age.ToNanoseconds()
            found.append(queue)
        return found

    async def _polled(self, asked: tuple[str, str]) -> _Told:
        return _Told(*asked, await self._task_queue(*asked))

    # --- schedules ----------------------------------------------------------------------------

    def _schedule(self, entry: Entry) -> ScheduleHandle:
        return self._client.get_schedule_handle(schedule_id(entry))

    async def _described(self, entry: Entry) -> ScheduleDescription:
        try:
            return await self._schedule(entry).describe()
        except RPCError as error:
            raise self._namespace.error(error, entry.id) from error

    async def schedule(self, entry: Entry) -> Schedule:
        told = await self._described(entry)
        state = told.schedule.state
        statuses = [action.start_workflow_status for action in told.raw_description.info.recent_actions]
        actions = zip(told.info.recent_actions, statuses, strict=True)
        last = [run_of(action, _STATUS.get(status, "")) for action, status in reversed([*actions])]
        changed = told.info.last_updated_at or told.info.created_at
        return Schedule(
            entry.id,
            entry.get("workflow"),
            spec_of(entry),
            entry.get("overlap") or "skip",
            last[:RUNS],
            [int(time.timestamp()) * 10**9 for time in told.info.next_action_times[:RUNS]],
            Paused(int(changed.timestamp() * 1e6) * 1_000, state.note or "") if state.paused else None,
        )

    async def pause(self, entry: Entry, reason: str) -> None:
        try:
            await self._schedule(entry).pause(note=reason)
        except RPCError as error:
            raise self._namespace.error(error, entry.id) from error

    async def resume(self, entry: Entry) -> None:
        try:
            await self._schedule(entry).unpause(note="")
        except RPCError as error:
            raise self._namespace.error(error, entry.id) from error

    async def trigger(self, entry: Entry) -> str:
        """Return the id of the workflow, once the server has started it.

        The server applies the schedule's own policy: it would not count a run that another policy has started.
        """
        before = (await self._described(entry)).info
        if entry.get("overlap") != BESIDE:
            await self._refuse_beside(entry, before)
        try:
            await self._schedule(entry).trigger()
        except RPCError as error:
            raise self._namespace.error(error, entry.id) from error
        until = asyncio.get_running_loop().time() + TRIGGERED_S
        while asyncio.get_running_loop().time() < until:
            told = (await self._described(entry)).info
            if told.num_actions > before.num_actions:
                return run_of(told.recent_actions[-1]).id
            await self._refuse_beside(entry, told)  # one that has begun in the meantime
            await asyncio.sleep(0.1)
        raise Error(
            f"the server has not started the workflow of {entry.id} within {TRIGGERED_S:.0f} s; it may do so later",
            TIMEOUT,
            hint="`saros schedules` shows its last runs",
        )

    async def _refuse_beside(self, entry: Entry, info: ScheduleInfo) -> None:
        """:raises Error: CONFLICT when a run of the schedule goes on."""
        for action in info.running_actions:
            if isinstance(action, ScheduleActionExecutionStartWorkflow):
                told = await self._told(action.workflow_id, "")  # `running_actions` notices ends late
                if _STATUS.get(told.workflow_execution_info.status) == RUNNING:
                    raise still_runs(entry, action.workflow_id)
