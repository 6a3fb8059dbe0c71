"""Workers that are stopped as soon as they are started, or while the server is away, end all the same."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from saros.testing import lua_app

BOUND_S = 60.0


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    return lua_app(tmp_path / "app", workflows={"one": "return 1"})


def test_workers_that_are_stopped_at_once(run: Any, opener: Any, app_path: Path, caplog: Any) -> None:
    async def main() -> None:
        for number in range(4):
            async with opener(app_path) as app:
                await asyncio.sleep(number * 0.05)
                began = time.monotonic()
                await app.stop_workers()
                assert time.monotonic() - began < BOUND_S

    run(main(), timeout=4 * BOUND_S)
    assert "did not" not in caplog.text
    assert "Traceback" not in caplog.text


def test_workers_that_are_stopped_while_the_server_is_away(
    run: Any, another: Any, opener: Any, app_path: Path
) -> None:
    async def main() -> None:
        async with opener(app_path, another.url) as app:
            await (await app.start("app:one")).result(30)
            another.stop()
            began = time.monotonic()
            await app.stop_workers()
            assert time.monotonic() - began < BOUND_S

    run(main(), timeout=3 * BOUND_S)
