"""What the memory backend logs when it closes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import saros
from saros_testing import lua_app

from .conftest import Runner


def test_memory_says_which_running_workflows_end_with_it(
    run: Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lua_app(tmp_path, workflows={"naps": "time.sleep('1h')", "one": "return 1"})

    async def check(url: str, wait: bool) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING, "saros.memory"):
            async with saros.open(tmp_path, backend=url) as app:
                await (await app.start("app:one")).result()
                if not wait:
                    for number in range(7):
                        await app.start("app:naps", id=f"nap-{number}")
        return [record.getMessage() for record in caplog.records if record.name == "saros.memory"]

    async def checks() -> None:
        named = "nap-0, nap-1, nap-2, nap-3, nap-4, ..."
        assert await check("memory://", False) == [
            f"memory:// ends, and with it 7 running workflows ({named})"
        ]
        assert await check("memory://", True) == []
        assert await check("memory://shared-by-two", False) == []

    run(checks())
