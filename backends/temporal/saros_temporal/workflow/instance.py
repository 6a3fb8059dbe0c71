"""A workflow instance for Temporal's worker: jobs in, commands out.

There is no event loop: an activation is a list of jobs, most of which become an event of the program, and the
program's commands become those of the completion.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.enums.v1 import CommandType
from temporalio.bridge.proto.workflow_activation import (
    RemoveFromCache,
    WorkflowActivation,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import (
    ActivitySerializationContext,
    SerializationContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
    WorkflowSerializationContext,
)
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.workflow import Info

from saros.interfaces.observer import PARKED, Closed, Observer
from saros.interfaces.store import OK
from saros.model.text import one_line

from .activity_port import HandedOver
from .workflow import Workflow
from .workflow_input import check_blocked
from .workflow_state import Environment

if TYPE_CHECKING:
    from temporalio.worker._command_aware_visitor import CommandInfo

log = logging.getLogger("saros.temporal")

_MISMATCHES: Final = frozenset({
    RemoveFromCache.EvictionReason.NONDETERMINISM,
    RemoveFromCache.EvictionReason.LANG_FAIL,
})  # fmt: skip


_ENDED: Final = (
    RemoveFromCache.EvictionReason.WORKFLOW_EXECUTION_ENDING,
    RemoveFromCache.EvictionReason.CACHE_FULL,  # another workflow needed its place at the same moment
)
"""The reasons to drop a workflow that has ended when the server has its end."""


class Instance(WorkflowInstance):
    """One run in the cache of a worker.

    :param codec_wants_context: whether the payload codec uses the owner of a payload.
    """

    def __init__(self, env: Environment, det: WorkflowInstanceDetails, codec_wants_context: bool) -> None:
        self._env = env
        self._det = det
        self._codec_wants_context = codec_wants_context
        self._store = _own_store_context(det.info)
        self._replays = False  # the workflow task under way began with a replay
        self.workflow = Workflow(env, det)

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Carry out an activation; any error fails the workflow task, and the workflow waits."""
        began = time.perf_counter()
        completion = WorkflowActivationCompletion()
        completion.successful.SetInParent()
        try:
            self._carry_out(act, completion)
        except Exception as error:  # of the code, or of what runs it
            self._fail(completion, error)
        if self._env.deployment.observer is not None:
            self._tell(self._env.deployment.observer, act, completion, time.perf_counter() - began)
        return completion

    def _tell(
        self,
        observer: Observer,
        act: WorkflowActivation,
        completion: WorkflowActivationCompletion,
        seconds: float,
    ) -> None:
        info, job = self._det.info, act.jobs[0] if len(act.jobs) == 1 else None
        queue, name = info.task_queue, info.workflow_type
        if job is None or not job.HasField("remove_from_cache"):
            starts = any(job.HasField("initialize_workflow") for job in act.jobs)
            if act.is_replaying:
                if starts:
                    observer.cached(queue, name, False)
                self._replays = True
                observer.replayed(queue, name, act.history_length, seconds)
            else:
                if not starts and not self._replays:
                    observer.cached(queue, name, True)
                self._replays = False
                observer.taken(queue, name)
                result = PARKED if completion.HasField("failed") else OK
                observer.task_ended(queue, name, info.run_id, result, seconds)
        elif self.workflow.ended and job.remove_from_cache.reason in _ENDED:
            trace = self.workflow.trace
            observer.closed(Closed(info.workflow_id, info.run_id, name, queue, self.workflow.ended, trace))

    def _carry_out(self, act: WorkflowActivation, completion: WorkflowActivationCompletion) -> None:
        workflow = self.workflow
        check_blocked(act.jobs, self._det.info.workflow_id)
        workflow.begin(act, completion.successful.commands)
        phases: tuple[list[tuple[Job, Any]], ...] = ([], [], [], [])
        for job in act.jobs:
            kind = job.WhichOneof("variant")
            if kind is None or kind not in _JOBS:
                raise RuntimeError(f"Temporal gave the unknown job {kind}; is temporalio newer than Saros?")
            phase, work = _JOBS[kind]
            phases[phase].append((work, getattr(job, kind)))
        for jobs in phases:
            told = [work(self, content) for work, content in jobs]
            for tell in told:
                if tell is not None:
                    tell()
        workflow.close()

    def _fail(self, completion: WorkflowActivationCompletion, error: Exception) -> None:
        info = self._det.info
        log.log(
            logging.INFO if isinstance(error, HandedOver) else logging.WARNING,
            "the workflow task of %s %s failed: %s",
            info.workflow_type,
            info.workflow_id,
            one_line(str(error)),
            extra=self.workflow.facts.about,
        )
        self.workflow.drop()
        told = completion.failed.failure
        try:
            self._det.failure_converter_class().to_failure(error, self._det.payload_converter_factory(), told)
        except Exception:  # of a converter of the user's
            log.exception("the failure of the workflow task cannot be converted")
            told.message = str(error)

    # --- jobs that are not events -----------------------------------------------------------------

    def _remove(self, job: RemoveFromCache) -> None:
        """Drop the program. After a mismatch found by Temporal, reload the sources."""
        self.workflow.drop()
        if job.reason in _MISMATCHES:
            self._env.refresh()

    # --- for the worker -----------------------------------------------------------------------------

    def get_info(self) -> Info:
        return self._det.info

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        if not self._codec_wants_context:
            return None  # asked for every payload, several times
        return _serialization_context(self.workflow, command_info)

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return _store_context(self.workflow, command_info) or self._store


Tell = Callable[[], None]
Job = Callable[[Instance, Any], Tell | None]
"""Takes note of a job. What it returns tells the program, once all jobs of its phase are noted: nothing that has
ended is cancelled then."""


_JOBS: Final[dict[str, tuple[int, Job]]] = {
    "notify_has_patch": (0, lambda it, job: it.workflow.facts.has_patch(job.patch_id)),
    "signal_workflow": (1, lambda it, job: it.workflow.signal(job)),
    "do_update": (1, lambda it, job: it.workflow.updates.begin(job)),
    "initialize_workflow": (2, lambda it, job: it.workflow.start(job)),
    "fire_timer": (2, lambda it, job: it.workflow.timers.fired(job)),
    "resolve_activity": (2, lambda it, job: it.workflow.activities.resolved(job)),
    "resolve_child_workflow_execution_start": (2, lambda it, job: it.workflow.children.started(job)),
    "resolve_child_workflow_execution": (2, lambda it, job: it.workflow.children.ended(job)),
    "resolve_signal_external_workflow": (2, lambda it, job: it.workflow.signals.signaled(job)),
    "cancel_workflow": (2, lambda it, job: it.workflow.cancel(job.reason)),
    "update_random_seed": (0, lambda it, job: it.workflow.reseed(job)),
    "remove_from_cache": (2, Instance._remove),
    "query_workflow": (3, lambda it, job: it.workflow.answer(job)),
}
"""The jobs, and the part of an activation in which each has its place: signals come before what ends."""


# --- to whom the payloads of a command belong, for codecs and payload stores -----------------------


def _serialization_context(workflow: Workflow, command: CommandInfo | None) -> SerializationContext:
    """Return the activity or workflow to which a command's payloads go; this workflow for all others."""
    info = workflow.info
    if command is not None:
        seq = command.command_seq
        if command.command_type == CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK:
            call = workflow.activities.pending.get(seq)
            if call is not None:
                return ActivitySerializationContext(
                    namespace=info.namespace,
                    activity_id=call.options.id or None,
                    activity_type=call.name,
                    activity_task_queue=call.queue or info.task_queue,
                    workflow_id=info.workflow_id,
                    workflow_type=info.workflow_type,
                    is_local=not call.queue,
                )
        target = _target(workflow, command)
        if target is not None:
            return WorkflowSerializationContext(info.namespace, target)
    return WorkflowSerializationContext(info.namespace, info.workflow_id)


def _store_context(workflow: Workflow, command: CommandInfo | None) -> StorageDriverStoreContext | None:
    """Return the workflow that owns a command's payloads, if not this one: a child, the target of a
    signal, and for a result the parent.
    """
    if command is None:
        return None
    info = workflow.info
    target = _target(workflow, command)
    if target is not None:
        return StorageDriverStoreContext(StorageDriverWorkflowInfo(namespace=info.namespace, id=target))
    parent = info.parent
    if (
        command.command_type == CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION
        and parent is not None
        and info.continued_run_id is None
    ):
        found = StorageDriverWorkflowInfo(
            namespace=parent.namespace, id=parent.workflow_id, run_id=parent.run_id
        )
        return StorageDriverStoreContext(found)
    return None


def _own_store_context(info: Info) -> StorageDriverStoreContext:
    """Return the context of this workflow."""
    return StorageDriverStoreContext(
        StorageDriverWorkflowInfo(
            namespace=info.namespace, id=info.workflow_id, run_id=info.run_id, type=info.workflow_type
        )
    )


def _target(workflow: Workflow, command: CommandInfo) -> str | None:
    """Return the id of the other workflow that a command addresses."""
    seq = command.command_seq
    if command.command_type == CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION:
        child = workflow.children.pending.get(seq)
        return child.id if child is not None else None
    if command.command_type == CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION:
        signal = workflow.signals.pending.get(seq)
        return signal.target if signal is not None else None
    return None
