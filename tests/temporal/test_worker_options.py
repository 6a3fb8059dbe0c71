"""Every worker option of the contract reaches Temporal's worker, and the server accepts it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)

from saros.entries import Ignored
from saros.entries.core import WORKER_OPTIONS

PATIENCE_S = 60.0

INDEX = """
namespace: app
entries:
  - name: worker
    kind: temporal.worker
    task_queue: {queue}
    worker_options:
{options}
  - {{name: echo, kind: function.lua, source: "file://echo.lua"}}
  - {{name: flow, kind: workflow.lua, source: "file://flow.lua", modules: [funcs]}}
"""
OPTIONS = {
    "identity": "the-worker",
    "max_concurrent_workflow_task_execution_size": 10,
    "max_concurrent_activity_execution_size": 11,
    "max_concurrent_local_activity_execution_size": 12,
    "max_concurrent_workflow_task_pollers": 3,
    "max_concurrent_activity_task_pollers": 4,
    "max_cached_workflows": 20,
    "worker_activities_per_second": 100,
    "task_queue_activities_per_second": 200,
    "sticky_schedule_to_start_timeout": "1s",
    "worker_stop_timeout": "1s",
    "max_heartbeat_throttle_interval": "2s",
    "default_heartbeat_throttle_interval": "1s",
    "disable_workflow_worker": "false",
    "local_activity_worker_only": "false",
    "disable_eager_activities": "true",
    "deployment_name": "orders-DEPLOYMENT",
    "build_id": '""',
    "build_id_env": "SAROS_TEST_BUILD_ID",
    "use_versioning": "true",
    "default_versioning_behavior": "pinned",
}


def write(root: Path, options: dict[str, Any]) -> tuple[Path, str]:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    lines = "\n".join(f"      {name}: {value}" for name, value in options.items())
    (root / "_index.yaml").write_text(INDEX.format(queue=queue, options=lines.replace("DEPLOYMENT", queue)))
    (root / "echo.lua").write_text("return function(x) return x end\n")
    (root / "flow.lua").write_text("return function(x) return (require('funcs').call('app:echo', x)) end\n")
    return root, queue


def test_all_options_together(
    run: Any, opener: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from saros_temporal.worker import worker

    monkeypatch.setenv("SAROS_TEST_BUILD_ID", "v7")
    ignored = {key for key, field in WORKER_OPTIONS.keys.items() if isinstance(field, Ignored)}
    assert set(OPTIONS) == set(WORKER_OPTIONS.keys) - ignored
    given: dict[str, Any] = {}
    real = worker.Worker

    def made(client: Any, **options: Any) -> Any:
        if "workflow_runner" in options:
            given.update(options)
        return real(client, **options)

    monkeypatch.setattr(worker, "Worker", made)
    root, queue = write(tmp_path, OPTIONS)

    async def scenario() -> Any:
        async with opener(root) as app:
            client = app.backend.client
            request = SetWorkerDeploymentCurrentVersionRequest(
                namespace="default", deployment_name=f"orders-{queue}", build_id="v7", identity="test"
            )

            async def current() -> bool:
                try:
                    await client.workflow_service.set_worker_deployment_current_version(request)
                except Exception:
                    return False
                return True

            await until(current, PATIENCE_S)
            handle = await app.start("app:flow", 7)
            found = await handle.result(PATIENCE_S)
            asked = DescribeTaskQueueRequest(namespace="default")
            asked.task_queue.name = queue
            pollers = (await client.workflow_service.describe_task_queue(asked)).pollers
            info = (await client.get_workflow_handle(handle.id).describe()).raw_info
            return found, {poller.identity for poller in pollers}, info.versioning_info

    found, identities, versioning = run(scenario(), 3 * PATIENCE_S)
    assert (found, identities) == (7, {"the-worker"})
    assert versioning.deployment_version.build_id == "v7"
    assert given["max_concurrent_workflow_tasks"] == 10
    assert given["max_concurrent_activities"] == 11
    assert given["max_concurrent_local_activities"] == 12
    assert given["workflow_task_poller_behavior"].maximum == 3
    assert given["activity_task_poller_behavior"].maximum == 4
    assert given["max_cached_workflows"] == 20
    assert (given["max_activities_per_second"], given["max_task_queue_activities_per_second"]) == (100, 200)
    assert given["sticky_queue_schedule_to_start_timeout"].total_seconds() == 1
    assert given["graceful_shutdown_timeout"].total_seconds() == 1
    assert given["max_heartbeat_throttle_interval"].total_seconds() == 2
    assert given["default_heartbeat_throttle_interval"].total_seconds() == 1
    assert (given["no_remote_activities"], given["disable_eager_activity_execution"]) == (False, True)


def test_workers_of_one_sort_of_task(run: Any, opener: Any, tmp_path: Path) -> None:
    """One process runs only workflows, another only activities, on one task queue."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "functions").mkdir()
    flows, queue = write(
        tmp_path / "flows", {"local_activity_worker_only": "true", "max_cached_workflows": 0}
    )
    functions, other = write(tmp_path / "functions", {"disable_workflow_worker": "true"})
    index = functions / "_index.yaml"
    index.write_text(index.read_text().replace(other, queue))

    async def scenario() -> Any:
        async with opener(flows) as app, opener(functions):
            return await (await app.start("app:flow", 7)).result(PATIENCE_S)

    assert run(scenario(), 2 * PATIENCE_S) == 7


def test_an_empty_identity_counts_as_absent(run: Any, opener: Any, tmp_path: Path) -> None:
    root, _ = write(
        tmp_path,
        {"identity": '""', "build_id_env": "SAROS_NOT_SET", "use_versioning": "false"},
    )

    async def scenario() -> Any:
        async with opener(root) as app:
            return await (await app.start("app:flow", 7)).result(PATIENCE_S)

    assert run(scenario(), 2 * PATIENCE_S) == 7
