"""Workers: one of Temporal's per ``temporal.worker`` entry, and one per connection for this node's processes."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from anyio import move_on_after
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig

from saros.entries import DEFAULT_TASK_QUEUE, Entry
from saros.interfaces.deployment import Deployment
from saros.interfaces.host import Host
from saros.model.background import LIMIT_S, Job, end_all

from ..client.namespace import Namespace
from ..client.namespaces import Namespaces
from ..client.target import seconds
from ..nodes.presence import NodeWorkflow
from ..wire.operations import node_queue
from ..workflow.workflow_state import Environment
from .activity_runner import LISTEN_S, LocalActivities, SarosInterceptor, saros_activity
from .system_handlers import SystemBackend, SystemHandlers
from .workflow_runner import InlineExecutor, SarosRunner, SarosWorkflow

log = logging.getLogger("saros.temporal")

GRACE_S: Final = 10.0
"""Seconds that running activities get when the worker stops, unless ``worker_stop_timeout`` is set."""
SLACK_S: Final = 10.0
"""Further seconds that a worker's shutdown may take before Saros gives up on it."""

_DIRECT: Final = {
    "max_concurrent_workflow_task_execution_size": "max_concurrent_workflow_tasks",
    "max_concurrent_activity_execution_size": "max_concurrent_activities",
    "max_concurrent_local_activity_execution_size": "max_concurrent_local_activities",
    "max_cached_workflows": "max_cached_workflows",
    "local_activity_worker_only": "no_remote_activities",
    "disable_eager_activities": "disable_eager_activity_execution",
    "identity": "identity",
}
_RATES: Final = {
    "worker_activities_per_second": "max_activities_per_second",
    "task_queue_activities_per_second": "max_task_queue_activities_per_second",
}
_SPANS: Final = {
    "sticky_schedule_to_start_timeout": "sticky_queue_schedule_to_start_timeout",
    "worker_stop_timeout": "graceful_shutdown_timeout",
    "max_heartbeat_throttle_interval": "max_heartbeat_throttle_interval",
    "default_heartbeat_throttle_interval": "default_heartbeat_throttle_interval",
}
_POLLERS: Final = {
    "max_concurrent_workflow_task_pollers": "workflow_task_poller_behavior",
    "max_concurrent_activity_task_pollers": "activity_task_poller_behavior",
}


def worker_options(options: dict[str, Any]) -> dict[str, Any]:
    """Convert ``worker_options`` of an entry to arguments of Temporal's `Worker`."""
    found: dict[str, Any] = {
        "graceful_shutdown_timeout": timedelta(seconds=GRACE_S),
        "default_heartbeat_throttle_interval": timedelta(seconds=LISTEN_S),
    }
    for key, name in _DIRECT.items():
        if options.get(key) not in (None, ""):
            found[name] = options[key]
    for key, name in _RATES.items():
        if options.get(key):
            found[name] = float(options[key])
    for key, name in _SPANS.items():
        if seconds(options.get(key)):
            found[name] = timedelta(seconds=seconds(options[key]))
    for key, name in _POLLERS.items():
        if key in options:
            found[name] = PollerBehaviorSimpleMaximum(max(options[key], 2 if "workflow" in key else 1))
    tasks = found.get("max_concurrent_workflow_tasks")
    if tasks == 1 and found.get("max_cached_workflows", 1000):
        found["max_concurrent_workflow_tasks"] = 2  # Temporal needs two for a sticky queue
    build_id = options.get("build_id") or os.environ.get(options.get("build_id_env") or "")
    if options.get("deployment_name") and build_id:
        behavior = {
            "pinned": VersioningBehavior.PINNED,
            "auto_upgrade": VersioningBehavior.AUTO_UPGRADE,
        }.get(options.get("default_versioning_behavior", ""), VersioningBehavior.AUTO_UPGRADE)
        found["deployment_config"] = WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(options["deployment_name"], build_id),
            use_worker_versioning=bool(options.get("use_versioning")),
            default_versioning_behavior=behavior
            if options.get("use_versioning")
            else VersioningBehavior.UNSPECIFIED,
        )
    elif build_id:
        found["build_id"] = build_id
    return found


class ServedWorker(NamedTuple):
    """A worker of Temporal, its local activities, and the seconds that these get when it stops."""

    worker: Worker
    local: LocalActivities
    grace_s: float


def workers_of(
    deployment: Deployment, host: Host, namespaces: Namespaces, backend: SystemBackend, build_id: str
) -> list[ServedWorker]:
    """The workers of an app, not running yet.

    Workflows reach a node through their own namespace, so a node has a worker in each.

    :param build_id: of workers whose options name none. Without it, the SDK would read, and where there is no
        bytecode compile, every module that is loaded, which keeps the event loop from everything else for seconds.
    """
    registry, executor = deployment.registry, InlineExecutor()
    entries: list[Entry | None] = list(registry.of_kind("temporal.worker")) or [None]
    found: list[ServedWorker] = []
    for entry in entries:
        namespace = namespaces.of_worker(entry.id if entry else "")
        local, system = LocalActivities(), SystemHandlers(namespace.client, host, backend)
        options: dict[str, Any] = worker_options(entry.get("worker_options", {}) if entry else {})
        if "deployment_config" not in options:
            options.setdefault("build_id", build_id)
        seen = SarosInterceptor(host, system, local)
        worker = _worker(deployment, entry, namespace, seen, executor, options)
        found.append(ServedWorker(worker, local, _grace_s(entry)))
    for namespace in namespaces.all:
        local, system = LocalActivities(), SystemHandlers(namespace.client, host, backend)
        worker = _node_worker(host, namespace, SarosInterceptor(host, system, local), build_id)
        first = registry.get(namespace.workers[0]) if namespace.workers else None
        found.append(ServedWorker(worker, local, _grace_s(first)))
    return found


def _grace_s(entry: Entry | None) -> float:
    return seconds(entry.get("worker_options.worker_stop_timeout") if entry else None) or GRACE_S


def _node_worker(host: Host, namespace: Namespace, interceptor: SarosInterceptor, build_id: str) -> Worker:
    return Worker(
        namespace.client,
        build_id=build_id,
        task_queue=node_queue(host.node),
        workflows=[NodeWorkflow],
        activities=[saros_activity],
        interceptors=[interceptor],
        max_cached_workflows=0,  # each is done within one task
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(1),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(1),
        graceful_shutdown_timeout=timedelta(seconds=1),
    )


def _worker(
    deployment: Deployment,
    entry: Entry | None,
    namespace: Namespace,
    interceptor: SarosInterceptor,
    executor: InlineExecutor,
    options: dict[str, Any],
) -> Worker:
    given: dict[str, Any] = entry.get("worker_options", {}) if entry else {}
    client = namespace.client
    environment = Environment(deployment, entry.id if entry else "", namespace.search, client)
    return Worker(
        client,
        task_queue=deployment.registry.task_queue(entry.id) if entry else DEFAULT_TASK_QUEUE,
        workflows=[] if given.get("disable_workflow_worker") else [SarosWorkflow],
        activities=[saros_activity],
        interceptors=[interceptor],
        workflow_runner=SarosRunner(environment, client.data_converter.payload_codec),
        workflow_task_executor=executor,
        **options,
    )


def ignore_late_cancels() -> None:
    """Ignore the SDK's warning that an activity to cancel has just ended.

    Both happen at once when a workflow cancels a local activity that returns. Where warnings are errors
    (``python -W error``), this one would end the worker.
    """
    warnings.filterwarnings("ignore", "Cannot find activity to cancel", UserWarning, r"temporalio\.worker")


async def serve(workers: Sequence[ServedWorker]) -> None:
    """Run workers until cancelled; then drain within the longest of their grace periods."""
    ignore_late_cancels()
    grace_s = max(each.grace_s for each in workers)
    running = [Job(each.worker.run(), "a Temporal worker") for each in workers]
    try:
        await asyncio.wait({job.task for job in running}, return_when=asyncio.FIRST_EXCEPTION)
        for job in running:
            if job.done():
                await job.wait()
    finally:
        with move_on_after(grace_s + SLACK_S, shield=True) as limit:
            stopping = [Job(each.worker.shutdown(), "the end of a Temporal worker") for each in workers]
            closing = [Job(each.local.close(each.grace_s), "the end of local activities") for each in workers]
            await asyncio.wait({job.task for job in (*running, *stopping)})
        if limit.cancelled_caught:
            log.error(
                "the Temporal worker did not stop within %.0f s; the server retries its tasks "
                "when their timeouts expire",
                grace_s + SLACK_S,
            )
        await end_all((*running, *stopping, *closing), LIMIT_S, at_once=True)
