"""What `saros.testing` gives to the tests of users."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

import saros
from saros import activity
from saros.insight import presence
from saros.model.errors import INVALID, NOT_FOUND, UNAVAILABLE
from saros_testing import TestApp, lua_app

MAIN = 'local value, err = funcs.call("app:real", input) if err then return nil, err end return value'


def app_at(path: Path, **fakes: Any) -> TestApp:
    lua_app(path, workflows={"main": MAIN}, functions={"real": 'return "real"'})
    return TestApp(path, fakes={f"app:{name}": fake for name, fake in fakes.items()})


def test_a_fake_runs_in_the_place_of_a_function(tmp_path: Path) -> None:
    seen = []

    def fake(value: Any) -> Any:
        seen.append((value, activity.info().attempt))
        return {"fake": value}

    async def scenario() -> None:
        async with app_at(tmp_path, real=fake) as app:
            assert await app.run("app:main", [1], id="run-1") == {"fake": [1]}
            assert await app.replay("run-1") == 4
            assert seen == [([1], 1)]

    asyncio.run(scenario())


def test_a_fake_may_be_asynchronous_and_is_retried_as_its_errors_say(tmp_path: Path) -> None:
    attempts = []

    async def fake(value: Any) -> Any:
        attempts.append(value)
        if len(attempts) < 3:
            raise saros.Error("not now", UNAVAILABLE)
        raise saros.Error("never", "Refused", retryable=False)

    async def scenario() -> None:
        async with app_at(tmp_path, real=fake) as app:
            error = await app.fails("app:main", 1)
            assert (error.kind, error.message) == ("Refused", "never")
            assert attempts == [1, 1, 1]

    asyncio.run(scenario())


@pytest.mark.parametrize(("name", "kind"), [("nothing", NOT_FOUND), ("main", INVALID)])
def test_only_functions_of_the_app_are_faked(tmp_path: Path, name: str, kind: str) -> None:
    async def scenario() -> None:
        with pytest.raises(saros.Error) as caught:
            async with app_at(tmp_path, **{name: print}):
                pass
        assert caught.value.kind == kind

    asyncio.run(scenario())


def test_time_waits_for_workers_that_take_long_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(root: Path) -> str:
        time.sleep(0.3)
        return "hash"

    monkeypatch.setattr(presence, "app_hash", slowly)
    lua_app(tmp_path, workflows={"main": 'time.sleep("48h") return "over"'})

    async def scenario() -> None:
        async with TestApp(tmp_path) as app:
            handle = await app.start("app:main", id="late")
            await app.pass_time("48h")
            assert (await handle.describe()).status == "completed"

    asyncio.run(scenario())
