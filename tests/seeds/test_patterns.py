"""The user's guide to workflows: signals, error handling, the saga, starting workflows."""

from __future__ import annotations

import asyncio
import socket
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

import saros
from saros.app.plugins import installed
from saros.model.errors import INTERNAL
from saros_testing import lua_app


def receiver(guide: Any) -> str:
    """The example, and the function that it passes the order to."""
    text: str = guide.source("receive.lua")
    process = 'function process_order(order) return {status = "processed", order = order} end '
    return text.replace(guide.HEAD, guide.HEAD + process)


def test_a_message_of_a_function_reaches_the_inbox(guide: Any, tmp_path: Path) -> None:
    sender = "local workflow_pid = ... " + guide.example("send.lua")

    async def scenario() -> None:
        app = guide.app(tmp_path, "main", receiver(guide), functions={"sends": sender})
        async with asyncio.timeout(100), app:
            handle = await app.start("app:main", {"id": 1})
            await app.call("app:sends", handle.pid)
            assert await handle.result(timeout=90) == {"status": "processed", "order": {"id": 1}}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("messages", "result"),
    [
        ([("other", None), ("approve", {"by": "me"})], {"status": "processed", "order": {"id": 1}}),
        ([("cancel", {"reason": "late"})], {"status": "cancelled", "reason": "late"}),
    ],
    ids=["approve", "cancel"],
)
def test_receiving_signals(guide: Any, tmp_path: Path, messages: Any, result: Any) -> None:
    assert guide.run(tmp_path, "main", receiver(guide), {"id": 1}, messages=messages)[0] == result


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
def test_error_handling(guide: Any, tmp_path: Path, order: Any, result: Any, called: list[str]) -> None:
    got, history = guide.run(tmp_path, "main", guide.source("errors.lua"), order)
    assert got == result
    assert guide.calls(history) == called


SAGA: dict[str, Any] = {
    "items": ["lamp"],
    "payment": {"amount": 5},
    "shipping": {"address": "12 High Street"},
}


def test_the_saga_completes(guide: Any, tmp_path: Path) -> None:
    result, _ = guide.run(tmp_path, "main", guide.source("saga.lua"), SAGA)
    assert result == {"status": "completed", "tracking": "TRK-1"}


def test_the_saga_as_written_names_the_function_that_is_not_there_yet(guide: Any, tmp_path: Path) -> None:
    """A local function exists from its definition on, and there it stands below `main`: Lua takes a global."""

    async def scenario() -> None:
        async with asyncio.timeout(100), guide.app(tmp_path, "main", guide.source("saga.lua")) as app:
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
    guide: Any, tmp_path: Path, change: Any, step: str, undone: list[str]
) -> None:
    main, helper = guide.example("saga.lua").split("local function run_compensations")
    text = f"{guide.HEAD}local function run_compensations{helper}{main}return {{ main = main }}\n"
    result, history = guide.run(tmp_path, "main", text, {**SAGA, **change})
    assert (result["status"], result["step"]) == ("failed", step)
    undoes = ("app:release_inventory", "app:refund_payment")
    assert [call for call in guide.calls(history) if call in undoes] == undone


STARTED = {"order_workflow": "return {done = input}"}


def test_starting_from_a_function(guide: Any, tmp_path: Path) -> None:
    text = guide.lines_of("spawn.lua", "{pid = tostring(pid), err = err}").replace(
        'require("workflow")', "nil"
    )

    async def scenario() -> None:
        app = guide.app(tmp_path, "main", "return 1", workflows=STARTED, functions={"starts": text})
        async with asyncio.timeout(100), app:
            started = await app.call("app:starts")
            assert list(started) == ["pid"]
            place, _, id = started["pid"].partition("|")
            assert place == "app:worker"
            assert await app.app.get(id).result(timeout=90) == {"done": {"order_id": "123"}}

    asyncio.run(scenario())


def test_starting_from_a_workflow(guide: Any, tmp_path: Path) -> None:
    waits = "process.events():receive().result.value"
    result, history = guide.run(
        tmp_path, "main", guide.lines_of("spawn.lua", f"{{err = err, got = {waits}}}"), workflows=STARTED
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
def test_starting_from_an_http_handler(guide: Any, tmp_path: Path) -> None:
    head = 'local http, json = require("http"), require("json") '
    handler = f"{head}{guide.example('handler.lua')}\nreturn {{ handler = handler }}\n"
    path = lua_app(tmp_path, workflows=STARTED, files={"handler.lua": handler})
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    index = path / "_index.yaml"
    index.write_text(index.read_text("utf-8") + textwrap.dedent(HTTP).replace("PORT", str(port)), "utf-8")

    async def scenario() -> None:
        async with asyncio.timeout(100), saros.open(path, "memory://") as app:
            from saros_http import serving

            url = (await serving(app))["app:web"]
            async with httpx.AsyncClient() as client:
                answer = await client.post(f"{url}/orders", json={"id": "123"})
            assert answer.status_code == 200
            assert answer.json()["status"] == "started"
            _, _, id = answer.json()["workflow_id"].partition("|")
            assert await app.get(id).result(timeout=90) == {"done": {"id": "123"}}

    asyncio.run(scenario())
