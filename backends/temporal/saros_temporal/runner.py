"""The workflow runner: without a sandbox, for Lua's is the one that counts; and without threads.

The SDK gives each activation to a thread, so that one that hangs does not hang the worker. Lua cannot hang:
its budget ends it within a second. Functions run on the event loop as well, and two threads that wait for
each other twice per activation cost more than the activation itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from temporalio.bridge.proto.workflow_activation import RemoveFromCache, WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

if TYPE_CHECKING:
    from .environment import Environment

P = ParamSpec("P")
T = TypeVar("T")

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


class InlineExecutor(ThreadPoolExecutor):
    """Runs what it is given at once, in the thread that asks."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        loop = asyncio.get_running_loop()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as raised:
            future.set_exception(raised)
        finally:
            asyncio._set_running_loop(loop)  # an activation has an event loop of its own, and leaves none
        return future
