"""A workflow instance without a worker: tests pass it the jobs of an activation and read its commands."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.activity_result import ActivityResolution, DoBackoff, Success
from temporalio.bridge.proto.workflow_activation import (
    CancelWorkflow,
    DoUpdate,
    FireTimer,
    InitializeWorkflow,
    NotifyHasPatch,
    QueryWorkflow,
    RemoveFromCache,
    ResolveActivity,
    SignalWorkflow,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import TypedSearchAttributes
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
)
from temporalio.worker import WorkflowInstanceDetails
from temporalio.workflow import Info, ParentInfo, _Definition

from saros.app.loading import load_app
from saros_temporal.wire.payloads import to_payload
from saros_temporal.wire.search_attributes import SearchAttributes
from saros_temporal.worker.workflow_runner import SarosWorkflow
from saros_temporal.workflow.instance import Instance
from saros_temporal.workflow.workflow_state import Environment

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
LOCAL = 'local near = funcs.new():with_options({ ["activity.local"] = true })\n'


class Run:
    """A workflow instance, and its last completion."""

    def __init__(self, root: Path, plugins: Any, codec_wants_context: bool = False) -> None:
        converter = DataConverter.default
        info = Info(
            attempt=1, continued_run_id=None, cron_schedule=None, execution_timeout=None,
            first_execution_run_id="run", headers={}, namespace="default", original_execution_run_id="run",
            parent=ParentInfo(namespace="default", run_id="above", workflow_id="parent"), root=None, raw_memo={},
            retry_policy=None, run_id="run", run_timeout=None, search_attributes={}, start_time=NOW,
            workflow_start_time=NOW, task_queue="queue", task_timeout=dt.timedelta(seconds=10),
            typed_search_attributes=TypedSearchAttributes([]), workflow_id="id", workflow_type="app:flow",
            priority=None,  # type: ignore[arg-type]
        )  # fmt: skip
        details = WorkflowInstanceDetails(
            payload_converter_factory=lambda: converter.payload_converter,
            failure_converter_class=DefaultFailureConverter,
            interceptor_classes=[],
            defn=_Definition.must_from_class(SarosWorkflow),
            info=info,
            randomness_seed=7,
            extern_functions={},
            disable_eager_activity_execution=False,
            worker_level_failure_exception_types=[],
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
        environment = Environment(load_app(root, plugins), "app:worker", SearchAttributes())
        self.instance = Instance(environment, details, codec_wants_context)
        self.length = 0
        self.completion = WorkflowActivationCompletion()

    def act(self, *jobs: WorkflowActivationJob, replaying: bool = False, ms: int = 0) -> list[str]:
        """Carry out an activation, `ms` after the start, and give the kinds of the commands."""
        self.length += 4
        act = WorkflowActivation(run_id="run", is_replaying=replaying, history_length=self.length, jobs=jobs)
        act.timestamp.FromDatetime(NOW + dt.timedelta(milliseconds=ms))
        self.completion = self.instance.activate(act)
        return [str(command.WhichOneof("variant")) for command in self.commands]

    @property
    def commands(self) -> Any:
        return self.completion.successful.commands

    @property
    def failure(self) -> Failure:
        assert self.completion.WhichOneof("status") == "failed"
        return self.completion.failed.failure

    @property
    def result(self) -> Any:
        return json.loads(self.commands[-1].complete_workflow_execution.result.data)


Start = Callable[..., Run]


# --- jobs ---


def begin(*args: Any) -> WorkflowActivationJob:
    given = [to_payload(json.dumps(arg).encode()) for arg in args]
    return WorkflowActivationJob(
        initialize_workflow=InitializeWorkflow(workflow_type="app:flow", workflow_id="id", arguments=given)
    )


def signal(name: str, *args: Any) -> WorkflowActivationJob:
    given = [to_payload(json.dumps(arg).encode()) for arg in args]
    return WorkflowActivationJob(signal_workflow=SignalWorkflow(signal_name=name, input=given))


def update(name: str, *args: Payload) -> WorkflowActivationJob:
    return WorkflowActivationJob(
        do_update=DoUpdate(id=f"u-{name}", protocol_instance_id=f"p-{name}", name=name, input=args)
    )


def fired(seq: int) -> WorkflowActivationJob:
    return WorkflowActivationJob(fire_timer=FireTimer(seq=seq))


def done(seq: int, value: Any = None) -> WorkflowActivationJob:
    result = ActivityResolution(completed=Success(result=to_payload(json.dumps(value).encode())))
    return WorkflowActivationJob(resolve_activity=ResolveActivity(seq=seq, result=result))


def backoff(seq: int, attempt: int, ms: int) -> WorkflowActivationJob:
    wait = DoBackoff(attempt=attempt)
    wait.backoff_duration.FromMilliseconds(ms)
    wait.original_schedule_time.FromDatetime(NOW)
    result = ActivityResolution(backoff=wait)
    return WorkflowActivationJob(resolve_activity=ResolveActivity(seq=seq, result=result))


def patch(id: str) -> WorkflowActivationJob:
    return WorkflowActivationJob(notify_has_patch=NotifyHasPatch(patch_id=id))


def cancel(reason: str) -> WorkflowActivationJob:
    return WorkflowActivationJob(cancel_workflow=CancelWorkflow(reason=reason))


def evict(reason: RemoveFromCache.EvictionReason.ValueType) -> WorkflowActivationJob:
    return WorkflowActivationJob(remove_from_cache=RemoveFromCache(reason=reason))


def query(name: str, **headers: Payload) -> WorkflowActivationJob:
    return WorkflowActivationJob(query_workflow=QueryWorkflow(query_id="q", query_type=name, headers=headers))
