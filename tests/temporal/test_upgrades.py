"""Code that changes under running workflows: versions, mismatches, repairs, exported histories."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from saros.app.loading import load_app
from saros.model.errors import CodeError, Error, NonDeterminism

QUICK = {"task_timeout": 5000}
"""A lost workflow task is tried again after its timeout. On a loaded machine a task takes seconds; if the first
attempt times out, the server keeps that as the reason: it records only the first of several failures in a row."""

V0 = """
local funcs = require("funcs")
return function()
  local got = { "v0", (funcs.call("app:echo", "a")) }
  process.inbox():receive()
  got[#got + 1] = funcs.call("app:echo", "b")
  return got
end
"""


def versioned(low: int, high: int) -> str:
    """The code with a change that has the versions `low` to `high`, asked for before and after the message."""
    return f"""
local funcs, workflow = require("funcs"), require("workflow")
return function()
  local version = workflow.version("step", {low}, {high})
  local got = {{ "v" .. version, (funcs.call("app:echo", "a")) }}
  process.inbox():receive()
  got[#got + 1] = funcs.call("app:echo", "b")
  got[#got + 1] = workflow.version("step", {low}, {high})
  got[#got + 1] = workflow.version("late", 1, 5)
  return got
end
"""


@pytest.fixture
def queue(tmp_path: Path) -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


MISMATCH = "[Nn]ondeterminism|TMPRL1100"


def reason(handle: Any, pattern: str) -> Callable[[], Coroutine[Any, Any, str | None]]:
    """Looks for this reason why the workflow does not go on."""

    async def look() -> str | None:
        text = (await handle.describe()).problem
        return text if text and re.search(pattern, text) else None

    return look


async def blocked(handle: Any) -> None:
    """Wait until the workflow has had its first answer, so that it waits for its message."""
    async for line in handle.watch():
        if line.name == "ActivityCompleted":
            return


def test_versions_across_upgrades(run: Any, opener: Any, write_app: Any, tmp_path: Path, queue: str) -> None:
    sources = [V0, versioned(0, 1), versioned(0, 2)]

    async def begin() -> list[str]:
        ids = []
        for number, source in enumerate(sources):
            async with opener(write_app(tmp_path / f"begin{number}", queue, flow=source)) as app:
                handle = await app.start("app:flow", options=QUICK, id=f"{queue}-{number}")
                await blocked(handle)
                ids.append(handle.id)
        return ids

    async def finish(ids: list[str]) -> list[Any]:
        async with opener(write_app(tmp_path / "finish", queue, flow=versioned(0, 2))) as app:
            for id in ids:
                await app.get(id).signal("go")
            return [await app.get(id).result(90) for id in ids]

    found = run(finish(run(begin())))
    assert found == [
        ["v0", "a", "b", 0, 5],
        ["v1", "a", "b", 1, 5],
        ["v2", "a", "b", 2, 5],
    ]


def test_a_version_out_of_range_parks_the_workflow(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path, queue: str
) -> None:
    async def scenario() -> Any:
        async with opener(write_app(tmp_path / "old", queue, flow=versioned(0, 1))) as app:
            handle = await app.start("app:flow", options=QUICK, id=queue)
            await blocked(handle)
        async with opener(write_app(tmp_path / "new", queue, flow=versioned(2, 3))) as app:
            await app.get(queue).signal("go")
            text = await until(reason(app.get(queue), "version 1 of the change step"))
        async with opener(write_app(tmp_path / "mended", queue, flow=versioned(1, 3))) as app:
            return text, await app.get(queue).result(90)

    text, result = run(scenario())
    assert "2 to 3" in text
    assert result == ["v1", "a", "b", 1, 5]


def test_a_mismatch_parks_the_workflow_until_the_code_is_repaired(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path, queue: str
) -> None:
    bad = V0.replace('(funcs.call("app:echo", "a"))', 'require("time").sleep("1h")')

    async def scenario() -> Any:
        async with opener(write_app(tmp_path / "old", queue, flow=V0)) as app:
            handle = await app.start("app:flow", options=QUICK, id=queue)
            await blocked(handle)
        async with opener(write_app(tmp_path / "bad", queue, flow=bad)) as app:
            await app.get(queue).signal("go")
            await until(reason(app.get(queue), MISMATCH))
            status = (await app.get(queue).describe()).status
        async with opener(write_app(tmp_path / "mended", queue, flow=V0)) as app:
            return status, await app.get(queue).result(90)

    status, result = run(scenario())
    assert status == "running"
    assert result == ["v0", "a", "b"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("return function( x", "'\\)' expected"),
        ("return function() while true do end end", "instructions|endless loop"),
        ('return function() return require("nowhere") end', "nowhere"),
    ],
)
def test_code_that_cannot_run_is_repaired_in_place(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path, queue: str, code: str, text: str
) -> None:
    root = write_app(tmp_path / "app", queue, flow=code)

    async def scenario() -> Any:
        async with opener(root) as app:
            handle = await app.start("app:flow", options=QUICK)
            if "nowhere" in code:
                with pytest.raises(Error, match=text):
                    await handle.result(90)
                return "done"
            await until(reason(handle, text))
            (root / "flow.lua").write_text('return function() return "done" end')
            return await handle.result(90)

    assert run(scenario()) == "done"


def test_a_workflow_that_the_app_lacks_waits_for_it(
    run: Any, opener: Any, write_app: Any, until: Any, tmp_path: Path, queue: str
) -> None:
    async def scenario() -> Any:
        async with opener(write_app(tmp_path / "new", queue, flow=V0), workers=False) as app:
            handle = await app.start("app:flow", options=QUICK, messages=[("go", None)])
        async with opener(write_app(tmp_path / "old", queue, other=V0)) as app:
            await until(reason(app.get(handle.id), "cannot run app:flow"))
        async with opener(write_app(tmp_path / "both", queue, other=V0, flow=V0)) as app:
            return await app.get(handle.id).result(90)

    assert run(scenario()) == ["v0", "a", "b"]


def test_an_exported_history_is_replayed(
    run: Any, opener: Any, write_app: Any, tmp_path: Path, queue: str, plugins: Any
) -> None:
    root = write_app(tmp_path / "app", queue, flow=versioned(0, 2))

    async def scenario() -> Any:
        async with opener(root) as app:
            handle = await app.start("app:flow", options=QUICK, messages=[("go", None)])
            await handle.result(90)
            return await handle.export()

    document = json.loads(json.dumps(run(scenario())))
    replay = plugins.backends()["temporal"].replay
    assert replay({"format": "saros.history/1", "events": []}, None) is None
    assert replay(document, load_app(root, plugins)) == len(document["events"])
    other = write_app(tmp_path / "other", queue, flow=V0.replace("app:echo", "app:worker2"))
    with pytest.raises(NonDeterminism, match="no longer matches"):
        replay(document, load_app(other, plugins))
    with contextlib.suppress(CodeError):
        assert replay(document, load_app(write_app(tmp_path / "next", queue, flow=versioned(1, 3)), plugins))


def test_a_recorded_side_effect_stays(
    run: Any, opener: Any, write_app: Any, tmp_path: Path, queue: str
) -> None:
    code = """
local workflow = require("workflow")
return function()
  local value = workflow.side_effect(function() return VALUE end)
  process.inbox():receive()
  return value
end
"""

    async def scenario() -> Any:
        async with opener(write_app(tmp_path / "one", queue, flow=code.replace("VALUE", "1"))) as app:
            handle = await app.start("app:flow", options=QUICK, id=queue)
            async for line in handle.watch():
                if line.name == "SideEffectRecorded":
                    break
        async with opener(write_app(tmp_path / "two", queue, flow=code.replace("VALUE", "2"))) as app:
            await app.get(queue).signal("go")
            return await app.get(queue).result(90)

    assert run(scenario()) == 1
