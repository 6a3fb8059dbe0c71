"""Other SDKs: a plain `temporalio` worker and client on one side, Saros on the other, both ways."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@activity.defn(name="python:sum")
async def add(one: int, other: float) -> float:
    return one + other


@activity.defn(name="python:refuse")
async def refuse() -> None:
    raise ApplicationError("not today", {"code": 7}, type="Closed", non_retryable=True)


@workflow.defn(name="python:greet")
class Greet:
    """Calls a Saros function, and greets."""

    @workflow.run
    async def run(self, name: str) -> dict[str, Any]:
        echoed = await workflow.execute_activity(
            "app:echo", {"name": name}, task_queue="saros-tests", start_to_close_timeout=timedelta(seconds=10)
        )
        try:
            await workflow.execute_activity(
                "app:fail",
                {"kind": "Declined", "message": "no", "details": {"code": 51}},
                task_queue="saros-tests",
                start_to_close_timeout=timedelta(seconds=10),
            )
        except Exception as failed:
            cause = failed.__cause__
            assert isinstance(cause, ApplicationError)
            seen = [cause.type, cause.message, cause.details[0], cause.non_retryable]
        child = await workflow.execute_child_workflow(
            "app:child", {"value": [1, 2]}, task_queue="saros-tests"
        )
        return {"text": f"Hello {echoed['name']}", "seen": seen, "child": child}


def plain(shared: Any, scenario: Callable[[Client, str], Coroutine[Any, Any, Any]]) -> Any:
    """Run a scenario with a plain client and worker."""

    async def work() -> Any:
        client = await Client.connect(shared.app.backend.client.service_client.config.target_host)
        queue = f"python-{uuid.uuid4().hex[:8]}"
        async with Worker(
            client,
            task_queue=queue,
            workflows=[Greet],
            activities=[add, refuse],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            return await scenario(client, queue)

    return shared.run(work())


def test_saros_calls_activities_and_workflows_in_python(shared: Any) -> None:
    async def scenario(client: Client, queue: str) -> Any:
        return await (await shared.app.start("app:mixed", queue)).result(90)

    found = plain(shared, scenario)
    assert found["sum"] == 3.5
    assert found["refused"] == ["Closed", "not today", {"code": 7}]
    assert found["greeting"] == {
        "text": "Hello Lua",
        "seen": ["Declined", "no", {"code": 51}, True],
        "child": [1, 2],
    }


def test_python_starts_signals_queries_and_awaits_saros(shared: Any) -> None:
    async def scenario(client: Client, queue: str) -> None:
        id = uuid.uuid4().hex
        order = await client.start_workflow(
            "app:order", {"id": "9", "total": 4}, id=id, task_queue="saros-tests"
        )
        await order.signal("approve", {"by": "python"})
        found = await order.result()
        assert (found["by"], found["from"], found["pid"]) == ({"by": "python"}, "", f"app:worker|{id}")

        counter = await client.start_workflow("NamedWorkflow", 3, id=id, task_queue="saros-tests")
        assert await counter.query("count", 2) == 6
        assert await counter.execute_update("add", 4) == 7
        await counter.signal("stop")
        assert await counter.result() == 7

        again = await client.start_workflow(
            "app:child",
            {"inbox": 2},
            id=id,
            task_queue="saros-tests",
            start_signal="first",
            start_signal_args=[1],
        )
        await again.signal("second", args=[2, 3])
        assert await again.result() == [["first", 1, ""], ["second", 2, ""]]

        waiting = await client.start_workflow("app:waiting", "cooperative", id=id, task_queue="saros-tests")
        await waiting.cancel()
        with pytest.raises(WorkflowFailureError):
            await waiting.result()

        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(
                "app:child",
                {"fail": {"kind": "Sad", "message": "no", "retryable": False, "details": [1]}},
                id=id,
                task_queue="saros-tests",
            )
        cause = failed.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.type, cause.message, cause.details[0], cause.non_retryable) == ("Sad", "no", [1], True)

    plain(shared, scenario)


def test_a_signal_that_is_no_data_is_dropped(shared: Any) -> None:
    async def scenario(client: Client, queue: str) -> Any:
        from temporalio.api.common.v1 import Payload
        from temporalio.common import RawValue

        id = uuid.uuid4().hex
        handle = await client.start_workflow("app:child", {"inbox": 1}, id=id, task_queue="saros-tests")
        strange = Payload(metadata={"encoding": b"binary/strange"}, data=b"\x00")
        broken = Payload(metadata={"encoding": b"json/plain"}, data=b"{nonsense")
        for payload in (strange, broken):
            await handle.signal("bad", RawValue(payload))
        await handle.signal("good", 1)
        return await asyncio.wait_for(handle.result(), 20)

    assert plain(shared, scenario) == [["good", 1, ""]]
