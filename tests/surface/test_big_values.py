"""Values that are too large to cross are refused by name, never replaced by something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from saros.model.errors import INTERNAL, INVALID
from saros_testing import lua_app
from saros_testing.cases import TestApp, refused

MB = 1_000_000
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_bytes_cross_whatever_they_would_be_as_text(tmp_path: Path) -> None:
    body = 'return (("\\255\\1\\1\\1"):rep(250000)):rep(input)'
    lua_app(tmp_path, functions={"bytes": body}, workflows={})
    async with TestApp(tmp_path) as app:
        assert await app.call("app:bytes", 4) == b"\xff\1\1\1" * MB


async def test_bytes_that_base64_makes_too_large_are_refused(tmp_path: Path) -> None:
    body = 'return (("\\255"):rep(1000000)):rep(input)'
    lua_app(tmp_path, functions={"bytes": body}, workflows={"main": body})
    async with TestApp(tmp_path) as app:
        assert await app.call("app:bytes", 2) == b"\xff" * (2 * MB)
        for error in (await refused(app.call("app:bytes", 13)), await app.fails("app:main", 13)):
            assert error.kind == INVALID
            assert f"a string of {13 * MB} bytes" in error.message


HANDLERS = """
workflow.on_query("ask", function(text) return #text end)
workflow.on_update("change", function(text) return #text end)
process.inbox():receive()
return "done"
"""
LARGE = "x" * (17 * MB)


async def test_what_a_client_hands_in_is_refused_at_once(tmp_path: Path, sqlite_url: str) -> None:
    lua_app(tmp_path, functions={"size": "return #input"}, workflows={"main": HANDLERS})
    for url in ("memory://", sqlite_url):
        async with TestApp(tmp_path, url) as app:
            order = await app.start("app:main")
            for request in (
                app.start("app:main", LARGE),
                app.start("app:main", "x" * (9 * MB), context={"more": "x" * (9 * MB)}),
                app.start("app:main", messages=[("topic", LARGE)]),
                order.signal("topic", LARGE),
                order.signal("x" * (9 * MB), "x" * (9 * MB)),
                order.query("ask", LARGE),
                order.update("change", LARGE),
                app.call("app:size", LARGE),
            ):
                error = await refused(request)
                assert error.kind == INVALID
                assert "the limit is 16,711,680; store it elsewhere" in error.message
            await order.signal("topic", "x" * (16 * MB))
            assert await order.result(60) == "done"


@pytest.mark.parametrize(
    "body",
    [
        'return funcs.call("app:large")',
        'return funcs.call("app:size", s, s)',
        'return workflow.exec("app:large_run")',
        'return workflow.exec("app:size_run", s, s)',
        'return process.send("any", "topic", s, s)',
        'return process.with_options({}):with_message("topic", s, s)',
        "return workflow.continue_as_new(s, s)",
        "return {s, s}",
        'return nil, errors.new{message = "no", kind = "Invalid", details = {s, s}}',
    ],
)
async def test_what_a_program_hands_on_is_refused_at_once(tmp_path: Path, body: str) -> None:
    text = 'local s = ("x"):rep(9000000)'
    lua_app(
        tmp_path,
        functions={"large": f"{text} return {{s, s}}", "size": "return #input"},
        workflows={
            "main": f"{text} {body}",
            "large_run": f"{text} return {{s, s}}",
            "size_run": "return #input",
        },
    )
    async with TestApp(tmp_path) as app:
        error = await app.fails("app:main")
        assert error.kind in (INVALID, INTERNAL)
        assert "18,000,0" in error.message
        assert "the limit is 16,711,680; store it elsewhere" in error.message
