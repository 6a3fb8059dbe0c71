"""An app that is loaded anew while it is served (§6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from saros.entries import AppError
from saros_testing import TestApp, lua_app

UPGRADES = """
    process.set_options({upgradable = true})
    local events, inbox = process.events(), process.inbox()
    while true do
      local got = channel.select{events:case_receive(), inbox:case_receive()}
      if got.channel == inbox then
        process.send(got.value:from(), "version", VERSION)
      elseif got.value.kind == process.event.OUTDATED then
        process.upgrade()
      end
    end
"""
STAYS = """
    local events, inbox = process.events(), process.inbox()
    while true do
      local got = channel.select{events:case_receive(), inbox:case_receive()}
      process.send(got.value:from(), "version", VERSION)
    end
"""
PROCESSES = {"upgrades": UPGRADES, "stays": STAYS}
ASKS = """
    local found = {}
    for i, name in ipairs({"upgrades", "stays"}) do
      local pid = process.registry.lookup(name)
        or process.with_options({}):with_name(name):spawn("app:" .. name, "app:host")
      process.send(pid, "ask")
      found[i] = process.inbox():receive():payload():data()
    end
    return found
"""


def write(path: Path, version: int) -> None:
    lua_app(
        path,
        workflows={"waits": f"process.inbox():receive() return {version}"},
        functions={"tells": f"return {version}", "asks": ASKS},
        processes={name: f"local VERSION = {version}\n{code}" for name, code in PROCESSES.items()},
        python={"py": "reloaded:tells"},
        files={"reloaded.py": f"def tells():\n    return {version}\n"},
    )


def test_a_reload_reaches_functions_processes_and_workflows(tmp_path: Path) -> None:
    async def scenario() -> None:
        write(tmp_path, 1)
        async with TestApp(tmp_path, "memory://") as app:
            order = await app.start("app:waits", id="order")
            assert [await app.call("app:tells"), await app.call("app:py")] == [1, 1]
            assert await app.call("app:asks") == [1, 1]
            write(tmp_path, 2)
            assert await app.call("app:tells") == 1
            app.app.reload()
            assert [await app.call("app:tells"), await app.call("app:py")] == [2, 2]
            assert await app.call("app:asks") == [2, 1]
            await order.signal("go")
            assert await order.result(90) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("file", "text"), [("tells.lua", "return {"), ("reloaded.py", "def tells(:"), ("_index.yaml", "a: [")]
)
def test_a_broken_version_leaves_the_old_one_running(tmp_path: Path, file: str, text: str) -> None:
    async def scenario() -> None:
        write(tmp_path, 1)
        async with TestApp(tmp_path, "memory://") as app:
            assert [await app.call("app:tells"), await app.call("app:py")] == [1, 1]
            assert await app.call("app:asks") == [1, 1]
            write(tmp_path, 2)
            (tmp_path / file).write_text(text)
            with pytest.raises(AppError) as raised:
                app.app.reload()
            assert file in str(raised.value) or "app:py" in str(raised.value)
            assert [await app.call("app:tells"), await app.call("app:py")] == [1, 1]
            assert await app.call("app:asks") == [1, 1]
            write(tmp_path, 3)
            app.app.reload()
            assert [await app.call("app:tells"), await app.call("app:py")] == [3, 3]

    asyncio.run(scenario())
