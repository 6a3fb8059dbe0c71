"""Mail that is valid by itself is delivered, however much of it waits: no program takes it all at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import saros
import saros_lua.program
from saros_testing import lua_app

SIZE = 7_000_000

PYTHON = f"""
import asyncio

started = 0

async def large(together):
    global started
    started += 1
    while started % together:
        await asyncio.sleep(0.01)
    return "x" * {SIZE}
"""

TOLD = """
local lengths = {}
local function tell()
  lengths[#lengths + 1] = workflow.history_length()
  lengths[#lengths + 1] = workflow.history_size()
end
workflow.on_query("lengths", function() return lengths end)
"""

RESULTS = f"""
{TOLD}
local done = channel.new(input)
for _ = 1, input do
  coroutine.spawn(function()
    local value, err = funcs.call("app:large", input)
    tell()
    done:send(err and err:message() or #value)
  end)
end
local sum = 0
for _ = 1, input do sum = sum + done:receive() end
return {{sum, lengths}}
"""

MAIL = f"""
{TOLD}
local inbox, sum = process.inbox(), 0
for _ = 1, input do
  sum = sum + #inbox:receive():payload():data()
  tell()
end
return {{sum, lengths}}
"""

FIRST = """
local count, seen = ...
local first = process.inbox():receive():payload():data()
if seen + 1 == count then return seen + 1 end
return workflow.continue_as_new(count, seen + 1)
"""


def app_of(path: Path) -> Path:
    functions = {"results": RESULTS, "mail": MAIL, "first": FIRST}
    return lua_app(
        path, workflows=functions, python={"large": "big_mail:large"}, files={"big_mail.py": PYTHON}
    )


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    return "memory://" if request.param == "memory" else sqlite_url


def test_results_that_are_too_large_together(tmp_path: Path, url: str) -> None:
    async def scenario() -> None:
        async with saros.open(app_of(tmp_path / "app"), backend=url) as app:
            order = await app.start("app:results", 3)
            total, lengths = await order.result(90)
            assert total == 3 * SIZE
            assert lengths == await order.query("lengths")  # a replay gets all of them at once

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [4, 12])
def test_messages_that_are_too_large_together(tmp_path: Path, url: str, count: int) -> None:
    async def scenario() -> None:
        async with saros.open(app_of(tmp_path / "app"), backend=url, workers=False) as app:
            order = await app.start("app:mail", count)
            for _ in range(count):
                await order.signal("large", "x" * SIZE)
            app.start_workers()
            total, lengths = await order.result(90)
            assert total == count * SIZE
            assert lengths == await order.query("lengths")

    asyncio.run(scenario())


def test_a_run_that_ends_between_them_leaves_the_others_to_the_next(tmp_path: Path, url: str) -> None:
    async def scenario() -> None:
        async with saros.open(app_of(tmp_path / "app"), backend=url, workers=False) as app:
            order = await app.start("app:first", 5, 0)
            for _ in range(5):
                await order.signal("large", "x" * SIZE)
            app.start_workers()
            assert await order.result(90) == 5

    asyncio.run(scenario())


def test_portions_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lengths(id: str) -> list[int]:
        async with saros.open(app_of(tmp_path / id), backend="memory://", workers=False) as app:
            order = await app.start("app:mail", 5, id="same")
            for text in ("a", "b" * 900, "", "c" * 300, "d"):
                await order.signal("topic", text)
            app.start_workers()
            total, found = await order.result(30)
            assert total == 1202
            return found

    async def scenario() -> None:
        whole = await lengths("one")
        for most in (1, 600, 1500):
            monkeypatch.setattr(saros_lua.program, "MAX_VALUE", most)
            assert await lengths(f"at_{most}") == whole

    asyncio.run(scenario())
