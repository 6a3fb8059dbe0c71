"""The user's guide to workflows: its definition, its first example, the workflow module, what to do and not to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from saros.engine.replay import replay
from saros.model.errors import INTERNAL
from saros_testing import TestApp, lua_app

HOUR = timedelta(hours=1)
ORDER = {"id": "123", "total": 99.5, "customer_id": "c-42", "shipping_address": "12 High Street"}


def test_the_definition_with_the_basic_workflow_completes(guide: Any, tmp_path: Path) -> None:
    """The entry as it is defined, inside of the file that such an entry needs around it."""
    path = lua_app(
        tmp_path,
        functions=guide.ACTIVITIES,
        files={"order_workflow.lua": guide.example("order_workflow.lua")},
    )
    index = path / "_index.yaml"
    index.write_text(index.read_text("utf-8") + guide.example("definition.yaml"), "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(100), TestApp(path) as app:
            order = await app.start("app:order_workflow", ORDER)
            assert await order.result(timeout=90) == {
                "status": "completed",
                "payment_id": "pay-1",
                "tracking": "TRK-1",
            }
            told = await order.describe()
            assert (told.type, told.task_queue) == ("app:order_workflow", "main")
            assert told.close_time is not None
            assert told.close_time - told.start_time == HOUR

    asyncio.run(scenario())


def test_a_workflow_may_have_a_type_name_of_its_own(guide: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        meta = {"main": {"temporal": {"workflow": {"worker": "app:worker", "name": "OrderWorkflow"}}}}
        app = guide.app(tmp_path, "main", guide.source("order_workflow.lua"), meta=meta)
        async with asyncio.timeout(100), app:
            order = await app.start("OrderWorkflow", ORDER)
            assert (await order.result(timeout=90))["status"] == "completed"
            assert (await order.describe()).type == "OrderWorkflow"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "error", "called"),
    [
        ({"customer_id": "c-broke"}, "card declined", ["app:charge_payment"]),
        (
            {"shipping_address": None},
            "no address",
            ["app:charge_payment", "app:ship_order", "app:refund_payment"],
        ),
    ],
    ids=["payment", "shipping"],
)
def test_the_basic_workflow_fails_and_refunds(
    guide: Any, tmp_path: Path, change: Mapping[str, Any], error: str, called: list[str]
) -> None:
    result, history = guide.run(tmp_path, "main", guide.source("order_workflow.lua"), {**ORDER, **change})
    assert result == {"status": "failed", "error": error}
    assert guide.calls(history) == called


def test_info(guide: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="saros.app"):
        result, _ = guide.run(tmp_path, "main", guide.lines_of("info.lua", "info"))
    assert result["workflow_id"] == "order-123"
    assert (result["workflow_type"], result["task_queue"], result["attempt"]) == ("app:main", "main", 1)
    assert result["namespace"]
    assert result["history_length"] > 0
    printed = [record.getMessage().rsplit(" [", 1)[0] for record in caplog.records]
    names = ("workflow_id", "run_id", "workflow_type", "task_queue", "namespace")
    assert printed == [
        *(result[name] for name in names),
        *(str(result[name]) for name in ("attempt", "history_length", "history_size")),
    ]


def test_version(guide: Any, tmp_path: Path) -> None:
    result, history = guide.run(tmp_path, "main", guide.lines_of("version.lua", "{version, result}"), "order")
    assert result == [2, "new order"]
    assert "VersionMarked payment-v2 = 2" in history


def test_version_of_an_execution_from_before_the_change(guide: Any, tmp_path: Path) -> None:
    """It ran the code without the call of version, and goes on with the code that has it."""
    old = (
        guide.MAIN_HEAD
        + 'local result = funcs.call("app:old_payment", input) return {1, result}'
        + guide.TAIL
    )

    async def scenario() -> None:
        async with asyncio.timeout(100):
            async with guide.app(tmp_path / "old", "main", old) as app:
                handle = await app.start("app:main", "order")
                assert await handle.result(timeout=90) == [1, "old order"]
                document = await handle.export()
            new = guide.lines_of("version.lua", "{version, result}")
            async with guide.app(tmp_path / "new", "main", new) as app:
                assert replay(document, app.app.deployment) == len(document["events"])

    asyncio.run(scenario())


def test_attrs(guide: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(100), guide.app(tmp_path, "main", guide.lines_of("attrs.lua")) as app:
            handle = await app.start("app:main", {"customer_id": "c-42", "total": 99.5})
            await handle.result(timeout=90)
            told = await handle.describe()
            assert told.search_attributes == {
                "status": "processing",
                "customer_id": "c-42",
                "order_total": 99.5,
            }
            assert told.memo == {"notes": "Priority customer", "source": "web"}
            found = [run.id async for run in app.app.list("status = 'completed' and order_total > 99")]
            assert found == [handle.id]

    asyncio.run(scenario())


def test_history_length_and_size(guide: Any, tmp_path: Path) -> None:
    assert guide.run(tmp_path / "a", "main", guide.lines_of("history_length.lua", "length"))[0] == 1
    assert guide.run(tmp_path / "b", "main", guide.lines_of("history_size.lua", "size"))[0] > 32


def test_call_of_a_child(guide: Any, tmp_path: Path) -> None:
    text = guide.lines_of("call.lua", "{result = result, err = err}")
    child = {"child_workflow": "return {got = input}"}
    result, history = guide.run(tmp_path, "main", text, {"n": 1}, workflows=child)
    assert result == {"result": {"got": {"n": 1}}}
    assert "ChildStarted app:child_workflow" in history


def test_timers(guide: Any, tmp_path: Path) -> None:
    _, history = guide.run(tmp_path, "main", guide.lines_of("timers.lua"))
    fired = [line for line in history if line.startswith("TimerFired")]
    assert fired == ["TimerFired 24h", "TimerFired 5m", "TimerFired 30s"]


def test_what_one_should_do(guide: Any, tmp_path: Path) -> None:
    result, _ = guide.run(tmp_path, "main", guide.lines_of("do.lua", "{data, v, info.workflow_id}"), "x")
    assert result == ["data of x", 2, "order-123"]


def test_what_one_should_not_do_is_harmless_or_a_clear_error(guide: Any, tmp_path: Path) -> None:
    """`io` is refused, with the line; the rest gives the workflow's own time, randomness and globals."""
    lines = guide.example("dont.lua").splitlines(keepends=True)
    [bad] = [number for number, line in enumerate(lines, 1) if "io.open" in line]

    async def scenario() -> None:
        async with (
            asyncio.timeout(100),
            guide.app(tmp_path / "io", "main", guide.lines_of("dont.lua")) as app,
        ):
            error = await app.fails("app:main")
            assert error.kind == INTERNAL
            assert f"main.lua:{bad}" in str(error.message)
            assert "io" in error.message

    asyncio.run(scenario())
    harmless = "counter = 0 " + "".join(line for line in lines if "io.open" not in line)
    text = f"{guide.MAIN_HEAD}{harmless}\nreturn {{now, r, counter, time.now():unix()}}{guide.TAIL}"
    (now, random, counter, clock), _ = guide.run(
        tmp_path / "rest", "main", text
    )  # replays, so it is deterministic
    assert now == clock
    assert 0 <= random < 1
    assert counter == 1
