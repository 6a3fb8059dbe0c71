"""Values that are too large to cross are refused by name, never replaced by something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from saros.model.errors import INVALID
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
