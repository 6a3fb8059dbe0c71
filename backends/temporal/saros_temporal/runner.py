"""The workflow runner: without a sandbox, for Lua's is the one that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

if TYPE_CHECKING:
    from .environment import Environment

_MISMATCHES = frozenset({
    RemoveFromCache.EvictionReason.NONDETERMINISM,
    RemoveFromCache.EvictionReason.LANG_FAIL,
})  # fmt: skip


class SarosRunner(UnsandboxedWorkflowRunner):
    """Has sources read anew after a mismatch, which Temporal finds, and Saros's driver hears nothing of."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def watched(act: WorkflowActivation) -> WorkflowActivationCompletion:
            for job in act.jobs:
                if job.HasField("remove_from_cache") and job.remove_from_cache.reason in _MISMATCHES:
                    self._environment.refresh()
            return activate(act)

        instance.activate = watched  # type: ignore[method-assign]
        return instance
