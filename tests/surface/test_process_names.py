"""Names and context of processes and workflows (§6, §8, §10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from saros_testing import TestApp, lua_app

Run = Callable[..., Any]
WAITS = "process.inbox():receive()"


def test_names_are_registered_looked_up_and_freed(everywhere: Run) -> None:
    code = """
    local r = process.registry
    local other = process.spawn("app:waits", "app:host")
    local taken = r.register("theirs", other)
    local mine = r.register("mine")
    local none, err = r.register("theirs")
    local _, unknown = r.lookup("nothing")
    return {taken, mine, none == nil, err:kind(), r.lookup("theirs") == other, r.lookup("mine") == process.pid(),
      unknown:kind(), r.unregister("mine"), r.unregister("mine")}
    """
    assert everywhere(code, processes={"waits": WAITS}) == [
        True, True, True, "AlreadyExists", True, True, "NotFound", True, False,
    ]  # fmt: skip


def test_names_go_when_their_process_ends(everywhere: Run) -> None:
    code = """
    local pid = process.with_context({}):with_name("given"):spawn_monitored("app:short", "app:host")
    process.events():receive()
    local kinds = {}
    for i, name in ipairs({"given", "own"}) do
      local _, err = process.registry.lookup(name)
      local _, sent = process.send(name, "t")
      kinds[i] = err:kind() .. sent:kind()
    end
    return kinds
    """
    assert (
        everywhere(code, processes={"short": "process.registry.register('own')"}) == ["NotFoundNotFound"] * 2
    )


def test_wrong_names_are_invalid(everywhere: Run) -> None:
    code = """
    local r, kinds = process.registry, {}
    for i, verb in ipairs({"register", "lookup", "unregister"}) do
      local none, err = r[verb]("")
      local none2, err2 = r[verb](5)
      kinds[i] = err:kind() .. err2:kind()
    end
    return kinds
    """
    assert everywhere(code) == ["InvalidInvalid"] * 3


def test_the_only_scope_of_names_is_local(everywhere: Run) -> None:
    code = """
    local r, kinds = process.registry, {}
    for _, call in ipairs({{"register", "n", process.pid()}, {"lookup", "n"}, {"unregister", "n"}}) do
      local verb, name, pid = table.unpack(call)
      local arguments = pid and {name, pid} or {name}
      arguments[#arguments + 1] = r.GLOBAL
      local none, err = r[verb](table.unpack(arguments))
      arguments[#arguments] = r.LOCAL
      kinds[#kinds + 1] = {err:kind(), (r[verb](table.unpack(arguments))) ~= nil, err:message():find("LOCAL") ~= nil}
    end
    return kinds
    """
    assert everywhere(code) == [["Invalid", True, True]] * 3


def test_the_name_of_a_running_process_reaches_it_again(everywhere: Run) -> None:
    code = """
    local named = process.with_context({}):with_name("single")
    local a = named:spawn("app:reads", "app:host", "first")
    process.monitor(a)
    local b = named:with_message("go", 7):spawn("app:reads", "app:host", "second")
    return {a == b, process.events():receive().result.value}
    """
    reads = "return {input, process.inbox():receive():payload():data()}"
    assert everywhere(code, processes={"reads": reads}) == [True, ["first", 7]]


@pytest.mark.parametrize("ids", ["same", "different"])
def test_the_name_of_a_running_workflow_reaches_it_again(everywhere: Run, ids: str) -> None:
    options = '{["workflow.id"] = id}' if ids == "different" else "{}"
    code = f"""
    local function named(id) return process.with_options({options}):with_name("single") end
    local a = named("one"):spawn_monitored("app:reads", "app:worker", "first")
    local b = named("two"):with_message("go", 7):spawn("app:reads", "app:worker", "second")
    return {{a == b, process.events():receive().result.value}}
    """
    reads = "return {input, process.inbox():receive():payload():data()}"
    assert everywhere(code, workflows={"reads": reads}) == [True, ["first", 7]]


# --- context ------------------------------------------------------------------------------------


def test_context_flows_through_functions_processes_and_workflows(tmp_path: Path) -> None:
    hops = {
        "functions": {
            "f1": "return process.exec('app:p', 'app:host')",
            "f2": "return process.exec('app:w', 'app:worker')",
            "end": "return ctx.all()",
        },
        "processes": {"p": "return funcs.call('app:f2')"},
        "workflows": {
            "w": "return require('workflow').call('app:w2')",
            "w2": "return funcs.new():with_context({step = 'last'}):call('app:end')",
        },
    }

    async def scenario() -> Any:
        async with TestApp(lua_app(tmp_path, **hops)) as app:  # type: ignore[arg-type]
            return await app.call("app:f1", context={"tenant": "acme", "step": "first"})

    assert asyncio.run(scenario()) == {"tenant": "acme", "step": "last"}


def test_context_survives_upgrade_and_continue_as_new(everywhere: Run) -> None:
    code = "if not input then process.upgrade(nil, true) end return ctx.all()"
    assert everywhere(code, context={"a": 1}) == {"a": 1}
