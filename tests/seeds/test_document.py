"""The examples of the user's guide to workflows run exactly as they are written there.

`app/` holds each of them, unchanged. Some are whole sources, some lines out of one: those get what is missing
(the modules' locals, a table with `main`) on the first line and after the last, so that lines keep their numbers.
"""

from __future__ import annotations

import asyncio
import socket
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

import saros
from saros.engine.replay import replay
from saros.errors import INTERNAL
from saros.plugins import installed
from saros.testing import TestApp, lua_app

EXAMPLES = Path(__file__).parent / "app"

HEAD = 'local funcs, time, workflow, json = require("funcs"), require("time"), require("workflow"), require("json") '
MAIN_HEAD = HEAD + "local function main(...) local order, input, input_data, id = ..., ..., ..., ... "
TAIL = "\nend\nreturn { main = main }\n"
HOUR = 3_600_000_000_000

ACTIVITIES = {
    "charge_payment": """
        if input.customer == "c-broke" or input.declined then
          return nil, errors.new({message = "card declined", kind = "Declined", retryable = false})
        end
        return {id = "pay-1", amount = input.amount}
    """,
    "ship_order": """
        if not input.address then
          return nil, errors.new({message = "no address", kind = errors.INVALID, retryable = false})
        end
        return {tracking_number = "TRK-1", tracking = "TRK-1"}
    """,
    "refund_payment": "return input",
    "reserve_inventory": """
        if #input == 0 then return nil, errors.new(errors.INVALID, "nothing to reserve") end
        return {id = "res-1"}
    """,
    "release_inventory": "return input",
    "risky_activity": 'if input.risk then return nil, errors.new("Risk", "it went wrong") end return "well"',
    "send_alert": "return true",
    "fetch_data": 'return "data of " .. input',
    "old_payment": 'return "old " .. input',
    "new_payment": 'return "new " .. input',
}
ORDER = {"id": "123", "total": 99.5, "customer_id": "c-42", "shipping_address": "12 High Street"}


def example(name: str) -> str:
    return (EXAMPLES / name).read_text("utf-8")


def source(name: str) -> str:
    """A source that defines `main`."""
    text = example(name)
    if "return { main" in text:
        return text
    return f"{HEAD}{text}\nreturn {{ main = main }}\n"


def lines_of(name: str, result: str = "nil") -> str:
    """A source whose `main` runs an example's lines and returns `result`."""
    return f"{MAIN_HEAD}{example(name)}\nreturn {result}{TAIL}"


def app_of(path: Path, name: str, text: str, **parts: Any) -> TestApp:
    """An app whose workflow `name` has this source, and which has every activity that examples call."""
    workflows = {name: text, **parts.pop("workflows", {})}
    functions = {**ACTIVITIES, **parts.pop("functions", {})}
    return TestApp(lua_app(path, workflows=workflows, functions=functions, **parts))


def run(
    path: Path, name: str, text: str, *args: Any, messages: Any = (), **parts: Any
) -> tuple[Any, list[str]]:
    """The result of a workflow, and its history, which replays."""

    async def scenario() -> tuple[Any, list[str]]:
        async with asyncio.timeout(30), app_of(path, name, text, **parts) as app:
            handle = await app.start(f"app:{name}", *args, id="order-123", messages=messages)
            result = await handle.result(timeout=20)
            document = await handle.export()
            assert replay(document, app.app.deployment) == len(document["events"])
            return result, [f"{line.name} {line.summary}".strip() for line in await handle.history()]

    return asyncio.run(scenario())


def calls(history: list[str]) -> list[str]:
    return [line.split()[1] for line in history if line.startswith("ActivityScheduled")]


def test_the_definition_with_the_basic_workflow_completes(tmp_path: Path) -> None:
    """The entry as it is defined, inside of the file that such an entry needs around it."""
    path = lua_app(
        tmp_path, functions=ACTIVITIES, files={"order_workflow.lua": example("order_workflow.lua")}
    )
    index = path / "_index.yaml"
    index.write_text(index.read_text("utf-8") + example("definition.yaml"), "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(30), TestApp(path) as app:
            order = await app.start("app:order_workflow", ORDER)
            assert await order.result(timeout=20) == {
                "status": "completed",
                "payment_id": "pay-1",
                "tracking": "TRK-1",
            }
            told = await order.describe()
            assert (told.type, told.task_queue) == ("app:order_workflow", "main")
            assert told.close_time is not None
            assert told.close_time - told.start_time == HOUR

    asyncio.run(scenario())


def test_a_workflow_may_have_a_type_name_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        meta = {"main": {"temporal": {"workflow": {"worker": "app:worker", "name": "OrderWorkflow"}}}}
        app = app_of(tmp_path, "main", source("order_workflow.lua"), meta=meta)
        async with asyncio.timeout(30), app:
            order = await app.start("OrderWorkflow", ORDER)
            assert (await order.result(timeout=20))["status"] == "completed"
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
    tmp_path: Path, change: Mapping[str, Any], error: str, called: list[str]
) -> None:
    result, history = run(tmp_path, "main", source("order_workflow.lua"), {**ORDER, **change})
    assert result == {"status": "failed", "error": error}
    assert calls(history) == called


def test_info(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="saros.app"):
        result, _ = run(tmp_path, "main", lines_of("info.lua", "info"))
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


def test_version(tmp_path: Path) -> None:
    result, history = run(tmp_path, "main", lines_of("version.lua", "{version, result}"), "order")
    assert result == [2, "new order"]
    assert "VersionMarked payment-v2 = 2" in history


def test_version_of_an_execution_from_before_the_change(tmp_path: Path) -> None:
    """It ran the code without the call of version, and goes on with the code that has it."""
    old = MAIN_HEAD + 'local result = funcs.call("app:old_payment", input) return {1, result}' + TAIL

    async def scenario() -> None:
        async with asyncio.timeout(30):
            async with app_of(tmp_path / "old", "main", old) as app:
                handle = await app.start("app:main", "order")
                assert await handle.result(timeout=20) == [1, "old order"]
                document = await handle.export()
            new = lines_of("version.lua", "{version, result}")
            async with app_of(tmp_path / "new", "main", new) as app:
                assert replay(document, app.app.deployment) == len(document["events"])

    asyncio.run(scenario())


def test_attrs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30), app_of(tmp_path, "main", lines_of("attrs.lua")) as app:
            handle = await app.start("app:main", {"customer_id": "c-42", "total": 99.5})
            await handle.result(timeout=20)
            told = await handle.describe()
            search = {name: bytes(value) for name, value in told.search_attributes.items()}
            assert search == {"status": b'"processing"', "customer_id": b'"c-42"', "order_total": b"99.5"}
            memo = {name: bytes(value) for name, value in told.memo.items()}
            assert memo == {"notes": b'"Priority customer"', "source": b'"web"'}
            found = [run.id async for run in app.app.list("status = 'completed' and order_total > 99")]
            assert found == [handle.id]

    asyncio.run(scenario())


def test_history_length_and_size(tmp_path: Path) -> None:
    assert run(tmp_path / "a", "main", lines_of("history_length.lua", "length"))[0] == 1
    assert run(tmp_path / "b", "main", lines_of("history_size.lua", "size"))[0] > 32


def test_call_of_a_child(tmp_path: Path) -> None:
    text = lines_of("call.lua", "{result = result, err = err}")
    child = {"child_workflow": "return {got = input}"}
    result, history = run(tmp_path, "main", text, {"n": 1}, workflows=child)
    assert result == {"result": {"got": {"n": 1}}}
    assert "ChildStarted app:child_workflow" in history


RECEIVER = source("receive.lua").replace(
    HEAD, HEAD + 'function process_order(order) return {status = "processed", order = order} end '
)


def test_a_message_of_a_function_reaches_the_inbox(tmp_path: Path) -> None:
    sender = "local workflow_pid = ... " + example("send.lua")

    async def scenario() -> None:
        app = app_of(tmp_path, "main", RECEIVER, functions={"sends": sender})
        async with asyncio.timeout(30), app:
            handle = await app.start("app:main", {"id": 1})
            await app.call("app:sends", handle.pid)
            assert await handle.result(timeout=20) == {"status": "processed", "order": {"id": 1}}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("messages", "result"),
    [
        ([("other", None), ("approve", {"by": "me"})], {"status": "processed", "order": {"id": 1}}),
        ([("cancel", {"reason": "late"})], {"status": "cancelled", "reason": "late"}),
    ],
    ids=["approve", "cancel"],
)
def test_receiving_signals(tmp_path: Path, messages: Any, result: Any) -> None:
    assert run(tmp_path, "main", RECEIVER, {"id": 1}, messages=messages)[0] == result


def test_timers(tmp_path: Path) -> None:
    _, history = run(tmp_path, "main", lines_of("timers.lua"))
    fired = [line for line in history if line.startswith("TimerFired")]
    assert fired == ["TimerFired 24h", "TimerFired 5m", "TimerFired 30s"]


def test_what_one_should_do(tmp_path: Path) -> None:
    result, _ = run(tmp_path, "main", lines_of("do.lua", "{data, v, info.workflow_id}"), "x")
    assert result == ["data of x", 2, "order-123"]


def test_what_one_should_not_do_is_harmless_or_a_clear_error(tmp_path: Path) -> None:
    """`io` is refused, with the line; the rest gives the workflow's own time, randomness and globals."""
    lines = example("dont.lua").splitlines(keepends=True)
    [bad] = [number for number, line in enumerate(lines, 1) if "io.open" in line]

    async def scenario() -> None:
        async with asyncio.timeout(30), app_of(tmp_path / "io", "main", lines_of("dont.lua")) as app:
            error = await app.fails("app:main")
            assert error.kind == INTERNAL
            assert f"main.lua:{bad}" in str(error.message)
            assert "io" in error.message

    asyncio.run(scenario())
    harmless = "counter = 0 " + "".join(line for line in lines if "io.open" not in line)
    text = f"{MAIN_HEAD}{harmless}\nreturn {{now, r, counter, time.now():unix()}}{TAIL}"
    (now, random, counter, clock), _ = run(tmp_path / "rest", "main", text)  # replays, so it is deterministic
    assert now == clock
    assert 0 <= random < 1
    assert counter == 1


@pytest.mark.parametrize(
    ("order", "result", "called"),
    [
        ({"id": 1}, {"status": "completed", "result": "well"}, ["app:risky_activity"]),
        (
            {"id": 1, "risk": True},
            {"status": "failed", "error": "it went wrong"},
            ["app:risky_activity", "app:send_alert"],
        ),
    ],
)
def test_error_handling(tmp_path: Path, order: Any, result: Any, called: list[str]) -> None:
    got, history = run(tmp_path, "main", source("errors.lua"), order)
    assert got == result
    assert calls(history) == called


SAGA: dict[str, Any] = {
    "items": ["lamp"],
    "payment": {"amount": 5},
    "shipping": {"address": "12 High Street"},
}


def test_the_saga_completes(tmp_path: Path) -> None:
    result, _ = run(tmp_path, "main", source("saga.lua"), SAGA)
    assert result == {"status": "completed", "tracking": "TRK-1"}


def test_the_saga_as_written_names_the_function_that_is_not_there_yet(tmp_path: Path) -> None:
    """A local function exists from its definition on, and there it stands below `main`: Lua takes a global."""

    async def scenario() -> None:
        async with asyncio.timeout(30), app_of(tmp_path, "main", source("saga.lua")) as app:
            error = await app.fails("app:main", {**SAGA, "payment": {"declined": True}})
            assert error.kind == INTERNAL
            assert "nil value (global 'run_compensations')" in error.message
            assert "main.lua:17" in error.message

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "step", "undone"),
    [
        ({"items": []}, "inventory", []),
        ({"payment": {"declined": True}}, "payment", ["app:release_inventory"]),
        ({"shipping": {}}, "shipping", ["app:refund_payment", "app:release_inventory"]),
    ],
)
def test_the_saga_compensates_with_its_helper_defined_first(
    tmp_path: Path, change: Any, step: str, undone: list[str]
) -> None:
    main, helper = example("saga.lua").split("local function run_compensations")
    text = f"{HEAD}local function run_compensations{helper}{main}return {{ main = main }}\n"
    result, history = run(tmp_path, "main", text, {**SAGA, **change})
    assert (result["status"], result["step"]) == ("failed", step)
    undoes = ("app:release_inventory", "app:refund_payment")
    assert [call for call in calls(history) if call in undoes] == undone


STARTED = {"order_workflow": "return {done = input}"}


def test_starting_from_a_function(tmp_path: Path) -> None:
    text = lines_of("spawn.lua", "{pid = tostring(pid), err = err}").replace('require("workflow")', "nil")

    async def scenario() -> None:
        app = app_of(tmp_path, "main", "return 1", workflows=STARTED, functions={"starts": text})
        async with asyncio.timeout(30), app:
            started = await app.call("app:starts")
            assert list(started) == ["pid"]
            place, _, id = started["pid"].partition("|")
            assert place == "app:worker"
            assert await app.app.get(id).result(timeout=20) == {"done": {"order_id": "123"}}

    asyncio.run(scenario())


def test_starting_from_a_workflow(tmp_path: Path) -> None:
    waits = "process.events():receive().result.value"
    result, history = run(
        tmp_path, "main", lines_of("spawn.lua", f"{{err = err, got = {waits}}}"), workflows=STARTED
    )
    assert result == {"got": {"done": {"order_id": "123"}}}
    assert "ChildStarted app:order_workflow" in history


HTTP = """
- {name: web, kind: http.service, addr: "127.0.0.1:PORT"}
- {name: api, kind: http.router, meta: {server: web}}
- {name: orders, kind: http.endpoint, meta: {router: api}, method: POST, path: /orders, func: handler}
- {name: handler, kind: function.lua, source: "file://handler.lua", method: handler, modules: [http, json]}
"""


@pytest.mark.skipif(
    all(kind.name != "http.service" for kind in installed().kinds()),
    reason="the plugin saros-http is not installed",
)
def test_starting_from_an_http_handler(tmp_path: Path) -> None:
    head = 'local http, json = require("http"), require("json") '
    handler = f"{head}{example('handler.lua')}\nreturn {{ handler = handler }}\n"
    path = lua_app(tmp_path, workflows=STARTED, files={"handler.lua": handler})
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    index = path / "_index.yaml"
    index.write_text(index.read_text("utf-8") + textwrap.dedent(HTTP).replace("PORT", str(port)), "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(30), saros.open(path, "memory://") as app:
            from saros_http import serving

            url = (await serving(app))["app:web"]
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{url}/orders", json={"id": "123"})
            assert answer.status_code == 200
            assert answer.json()["status"] == "started"
            _, _, id = answer.json()["workflow_id"].partition("|")
            assert await app.get(id).result(timeout=20) == {"done": {"id": "123"}}

    asyncio.run(scenario())
