"""The workflow runner: without a sandbox, for Lua's is the one that counts; and without threads.

The SDK gives each activation to a thread, so that one that hangs does not hang the worker. Lua cannot hang:
its budget ends it within a second. Functions run on the event loop as well, and two threads that wait for
each other twice per activation cost more than the activation itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from temporalio.converter import PayloadCodec, WithSerializationContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from .instance import Instance

if TYPE_CHECKING:
    from temporalio.workflow import _Definition

    from .environment import Environment

P = ParamSpec("P")
T = TypeVar("T")


class SarosRunner(WorkflowRunner):
    """Makes the instances of one worker."""

    def __init__(self, environment: Environment, codec: PayloadCodec | None) -> None:
        self._environment = environment
        self._codec_wants_context = isinstance(codec, WithSerializationContext)

    def prepare_workflow(self, defn: _Definition) -> None:
        """Nothing to do: entries are checked when the app is loaded."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return Instance(self._environment, det, self._codec_wants_context)


class InlineExecutor(ThreadPoolExecutor):
    """Runs what it is given at once, in the thread that asks."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Gives a future of the running event loop, which `run_in_executor` hands on as it is."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as raised:
            future.set_exception(raised)
        return future
