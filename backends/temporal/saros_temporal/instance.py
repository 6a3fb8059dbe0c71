"""A workflow instance as Temporal's worker has it: jobs in, commands out.

There is no event loop: an activation is a list of jobs, most of which become an event of the program, and the
program's commands become those of the completion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import (
    QueryWorkflow,
    RemoveFromCache,
    UpdateRandomSeed,
    WorkflowActivation,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.workflow import Info

from saros.model.errors import Error
from saros.model.records import Outcome, pack
from saros.model.text import one_line
from saros.model.values import error_data

from .contexts import own_store_context, serialization_context, store_context
from .execution import Execution
from .failures import failure, succeeded
from .handover import HandedOver
from .hung import check
from .inspection import BUILT_IN
from .payloads import ANSWER, json_array, put_json, to_payload

if TYPE_CHECKING:
    from temporalio.converter import SerializationContext, StorageDriverStoreContext
    from temporalio.worker._command_aware_visitor import CommandInfo

    from .environment import Environment

log = logging.getLogger("saros.temporal")

_MISMATCHES: Final = frozenset({
    RemoveFromCache.EvictionReason.NONDETERMINISM,
    RemoveFromCache.EvictionReason.LANG_FAIL,
})  # fmt: skip


class Instance(WorkflowInstance):
    """One run in the cache of a worker.

    :param codec_wants_context: whether the payload codec asks for whom a payload is.
    """

    def __init__(self, env: Environment, det: WorkflowInstanceDetails, codec_wants_context: bool) -> None:
        self._env = env
        self._det = det
        self._codec_wants_context = codec_wants_context
        self._store = own_store_context(det.info)
        self.execution = Execution(env, det)

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Carry out an activation; whatever goes wrong fails the workflow task, and the workflow waits."""
        completion = WorkflowActivationCompletion()
        completion.successful.SetInParent()
        try:
            self._carry_out(act, completion)
        except Exception as error:  # of the code, or of what runs it
            self._fail(completion, error)
        return completion

    def _carry_out(self, act: WorkflowActivation, completion: WorkflowActivationCompletion) -> None:
        execution = self.execution
        check(act.jobs, execution)
        execution.begin(act, completion.successful.commands)
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
        execution.close()

    def _fail(self, completion: WorkflowActivationCompletion, error: Exception) -> None:
        info = self._det.info
        log.log(
            logging.INFO if isinstance(error, HandedOver) else logging.WARNING,
            "the workflow task of %s %s failed: %s",
            info.workflow_type,
            info.workflow_id,
            one_line(str(error)),
        )
        self.execution.drop()
        told = completion.failed.failure
        try:
            self._det.failure_converter_class().to_failure(error, self._det.payload_converter_factory(), told)
        except Exception:  # of a converter of the user's
            log.exception("the failure of the workflow task cannot be converted")
            told.message = str(error)

    # --- jobs that are no event -------------------------------------------------------------------

    def _remove(self, job: RemoveFromCache) -> None:
        """Drop the program. After a mismatch, which Temporal finds, sources are read anew."""
        self.execution.drop()
        if job.reason in _MISMATCHES:
            self._env.refresh()

    def _reseed(self, job: UpdateRandomSeed) -> None:
        self.execution.seed = job.randomness_seed
        self.execution.random.seed(job.randomness_seed)
        self.execution.facts.reseed()

    def _query(self, job: QueryWorkflow) -> None:
        """Answer a query. Saros's own clients want an `Outcome`, for a failed query tells nothing but a text."""
        response = self.execution.add().respond_to_query
        response.query_id = job.query_id
        built_in = BUILT_IN.get(job.query_type)
        try:
            if built_in is not None:
                found, error = built_in(self.execution), None
            else:
                answer = self.execution.query(job.query_type, json_array(job.arguments))
                found, error = to_payload(answer.ok), answer.err
        except Error as raised:
            found, error = Payload(), error_data(raised)
        if ANSWER in job.headers:
            outcome = succeeded(found) if error is None else pack(Outcome(err=error))
            put_json(response.succeeded.response, outcome)
        elif error is None:
            response.succeeded.response.CopyFrom(found)
        else:
            response.failed.CopyFrom(failure(error))

    # --- for the worker -----------------------------------------------------------------------------

    def get_info(self) -> Info:
        return self._det.info

    def get_serialization_context(self, command_info: CommandInfo | None) -> SerializationContext | None:
        if not self._codec_wants_context:
            return None  # asked for every payload, several times
        return serialization_context(self.execution, command_info)

    def get_external_store_context(self, command_info: CommandInfo | None) -> StorageDriverStoreContext:
        return store_context(self.execution, command_info) or self._store


Tell = Callable[[], None]
Job = Callable[[Instance, Any], Tell | None]
"""Takes note of a job. What it returns tells the program, once all jobs of its phase are noted: nothing that has
ended is cancelled then."""


_JOBS: Final[dict[str, tuple[int, Job]]] = {
    "notify_has_patch": (0, lambda it, job: it.execution.facts.has_patch(job.patch_id)),
    "signal_workflow": (1, lambda it, job: it.execution.signal(job)),
    "do_update": (1, lambda it, job: it.execution.updates.begin(job)),
    "initialize_workflow": (2, lambda it, job: it.execution.start(job)),
    "fire_timer": (2, lambda it, job: it.execution.timers.fired(job)),
    "resolve_activity": (2, lambda it, job: it.execution.calls.resolved(job)),
    "resolve_child_workflow_execution_start": (2, lambda it, job: it.execution.children.started(job)),
    "resolve_child_workflow_execution": (2, lambda it, job: it.execution.children.ended(job)),
    "resolve_signal_external_workflow": (2, lambda it, job: it.execution.children.signaled(job)),
    "cancel_workflow": (2, lambda it, job: it.execution.cancel(job.reason)),
    "update_random_seed": (0, Instance._reseed),
    "remove_from_cache": (2, Instance._remove),
    "query_workflow": (3, Instance._query),
}
"""The jobs, and the part of an activation in which each has its place: signals come before what ends."""
