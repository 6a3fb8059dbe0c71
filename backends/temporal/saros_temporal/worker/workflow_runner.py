"""The workflow runner, in workers and in replays: no sandbox, because Lua has its own, and no threads.

The SDK gives each activation to a thread, so that one that hangs does not hang the worker. Lua cannot hang:
its budget ends it within a second. Functions run on the event loop as well, and two threads that wait for
each other twice per activation cost more than the activation itself.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.common import RawValue
from temporalio.converter import PayloadCodec, WithSerializationContext
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from saros.interfaces.deployment import Deployment
from saros.interfaces.insight import Stack
from saros.model.errors import INTERNAL, Error, NonDeterminism

from ..client.connection import data_converter
from ..client.descriptions import worker_of
from ..wire.search_attributes import SearchAttributes
from ..workflow.handlers import stack_of
from ..workflow.instance import Instance
from ..workflow.workflow_state import Environment

if TYPE_CHECKING:
    from temporalio.workflow import _Definition

P = ParamSpec("P")
T = TypeVar("T")

_MESSAGE: Final = re.compile(r'message: "((?:[^"\\]|\\.)*)"')


@workflow.defn(dynamic=True)
class SarosWorkflow:
    """The one dynamic workflow, which makes Temporal's worker take every workflow type; `SarosRunner` runs them."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> RawValue:
        raise RuntimeError("this worker lacks the workflow runner of saros-temporal")


class SarosRunner(WorkflowRunner):
    """Creates the workflow instances of one worker."""

    def __init__(self, environment: Environment, codec: PayloadCodec | None) -> None:
        self._environment = environment
        self._codec_wants_context = isinstance(codec, WithSerializationContext)

    def prepare_workflow(self, defn: _Definition) -> None:
        """Do nothing: entries are checked when the app is loaded."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return Instance(self._environment, det, self._codec_wants_context)


class InlineExecutor(ThreadPoolExecutor):
    """An executor that runs each call at once, in the calling thread."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return a future of the running event loop, which `run_in_executor` passes on unchanged."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as raised:
            future.set_exception(raised)
        return future


# --- replays --------------------------------------------------------------------------------------


def replay_exported(document: Any, deployment: Deployment) -> int:
    """Replay a history, and return its number of events.

    :raises NonDeterminism: when it does not.
    :raises Error: when the code does not run.
    """
    history = WorkflowHistory.from_json("replay", json.dumps(document))
    with ThreadPoolExecutor(1) as thread:  # the caller may have its own event loop
        thread.submit(asyncio.run, replay_history(history, deployment)).result()
    return len(history.events)


async def replayed_stack(history: WorkflowHistory, deployment: Deployment) -> Stack:
    """Return where the code of a run waits, according to its history, whose payloads are decoded.

    :raises NonDeterminism: when the app's code does not match the history.
    """
    done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    if not any(event.event_type == done for event in history.events):
        return Stack()  # it has not run yet
    seen: list[Stack] = []
    await replay_history(history, deployment, seen.append)
    return seen[-1] if seen else Stack()


class _Shown(Instance):
    """An instance that shows its stack before it leaves the cache, which is when its replay ends."""

    see: Callable[[Stack], None]

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if any(job.HasField("remove_from_cache") for job in act.jobs):
            self.see(stack_of(self.workflow))
        return super().activate(act)


class _ShowingRunner(SarosRunner):
    def __init__(
        self, environment: Environment, codec: PayloadCodec | None, see: Callable[[Stack], None]
    ) -> None:
        super().__init__(environment, codec)
        self._see = see

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        shown = _Shown(self._environment, det, self._codec_wants_context)
        shown.see = self._see
        return shown


async def replay_history(
    history: WorkflowHistory,
    deployment: Deployment,
    see: Callable[[Stack], None] | None = None,
) -> None:
    """Replay a history.

    :param see: gets the stack at the end, if given.
    :raises NonDeterminism: when the app's code does not match it.
    """
    first = history.events[0].workflow_execution_started_event_attributes
    if first.workflow_id:
        history = WorkflowHistory(first.workflow_id, history.events)
    place = worker_of(deployment, first.task_queue.name)
    environment = Environment(deployment, "" if place == "default" else place, SearchAttributes())
    converter = data_converter({})
    codec = converter.payload_codec
    runner = SarosRunner(environment, codec) if see is None else _ShowingRunner(environment, codec, see)
    replayer = Replayer(
        build_id="replay",  # the SDK would make one from all modules, which takes seconds
        workflows=[SarosWorkflow],
        workflow_runner=runner,
        workflow_task_executor=InlineExecutor(),
        data_converter=converter,
    )
    found = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if found.replay_failure is not None:
        raise _mismatch(first.workflow_type.name, str(found.replay_failure))


def _mismatch(type_name: str, failure: str) -> Error:
    """Extract Temporal's message from the dump of a structure."""
    told = _MESSAGE.search(failure)
    text = told.group(1).encode().decode("unicode_escape") if told else failure
    if "TMPRL1100" in text or "ondeterminism" in text:
        return NonDeterminism(
            f"the code of {type_name} no longer matches the history: {text}",
            event=0,
            expected="",
            actual=text,
            where=None,
        )
    return Error(f"the code of {type_name} does not run: {text}", INTERNAL, retryable=False)
