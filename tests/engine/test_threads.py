"""Blocking Python functions: a thread for each slot, limits that begin with the body, exits without a wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

import saros
from saros_testing import eventually, lua_app

from .conftest import Runner

BLOCKING = """
import blocking

def block(number=0):
    return blocking.block(number)
"""


class Gate:
    """The body of the app's function: it notes its attempt, and waits until the gate opens."""

    def __init__(self) -> None:
        self.module = types.ModuleType("blocking")
        self.module.block = self._block  # type: ignore[attr-defined]
        self.opened = threading.Event()
        self.attempts: list[int] = []
        self.canceled = 0
        self.inside = 0
        self._lock = threading.Lock()

    def _block(self, number: int) -> Any:
        with self._lock:
            self.inside += 1
            found = saros.activity._scope().info
            self.attempts.append(found.get("attempt", 0))
        while not self.opened.wait(0.01):
            if saros.activity.is_canceled():
                self.canceled += 1
                time.sleep(0.2)
                return "cleaned up"
        return number


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Gate()
    monkeypatch.setitem(sys.modules, "blocking", made.module)
    yield made
    made.opened.set()


def blocking_app(path: Path, main: str, **options: Any) -> Path:
    name = f"blocks_{path.name}".replace("-", "_")
    return lua_app(
        path,
        workflows={"main": main},
        python={"block": f"{name}:block"},
        files={f"{name}.py": BLOCKING},
        worker_options=options,
    )


def test_as_many_block_at_once_as_there_are_slots(tmp_path: Path, run: Runner, gate: Gate) -> None:
    main = """
    local calls, sum = {}, 0
    for i = 1, 70 do calls[i] = funcs.async("app:block", i) end
    for i = 1, 70 do sum = sum + calls[i]:response():receive():data() end
    return sum
    """

    async def scenario() -> None:
        path = blocking_app(tmp_path / "a", main, max_concurrent_activity_execution_size=60)
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            await eventually(lambda: gate.inside == 60, "all slots are in use")
            await asyncio.sleep(0.1)
            assert gate.inside == 60
            gate.opened.set()
            assert await order.result(90) == 70 * 71 // 2

    run(scenario())


def test_a_time_limit_begins_with_the_body(tmp_path: Path, run: Runner, gate: Gate) -> None:
    """Here calls from outside workflows occupy all threads at first."""
    main = """
    local limited = funcs.new():with_options({["activity.start_to_close_timeout"] = 300})
    return {limited:call("app:block", 7)}
    """

    async def scenario() -> None:
        path = blocking_app(
            tmp_path / "b",
            main,
            max_concurrent_activity_execution_size=1,
            max_concurrent_local_activity_execution_size=1,
        )
        async with saros.open(path) as opened:
            others = [asyncio.ensure_future(opened.call("app:block", n)) for n in range(2)]
            await eventually(lambda: gate.inside == 2, "no thread is free")
            order = await opened.start("app:main")
            await asyncio.sleep(1.0)
            gate.opened.set()
            assert await order.result(90) == [7]
            assert gate.attempts == [0, 0, 1]
            assert await asyncio.gather(*others) == [0, 1]

    run(scenario())


def test_a_thread_that_nobody_waits_for_takes_no_slot(
    tmp_path: Path, run: Runner, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    main = """
    local limited = funcs.new():with_options({
      ["activity.start_to_close_timeout"] = 50, ["activity.retry_policy"] = {maximum_attempts = 1},
    })
    for _ = 1, 5 do
      local _, err = limited:call("app:block")
      assert(err:kind() == errors.TIMEOUT)
    end
    return "done"
    """

    async def scenario() -> None:
        path = blocking_app(tmp_path / "c", main, max_concurrent_activity_execution_size=1)
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            assert await order.result(90) == "done"

    run(scenario())
    assert "app:block is still running in its thread" in caplog.text


@pytest.mark.parametrize("near", ["false", "true"])
def test_waiting_for_a_cancellation_waits_for_the_thread(
    tmp_path: Path, run: Runner, gate: Gate, near: str
) -> None:
    main = f"""
    local patient = funcs.new():with_options({{
      ["activity.wait_for_cancellation"] = true, ["activity.local"] = {near},
    }})
    return {{patient:call("app:block")}}
    """

    async def scenario() -> None:
        path = blocking_app(tmp_path / "d", main)
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            await eventually(lambda: gate.inside == 1, "it has begun")
            await order.cancel()
            assert await order.result(90) == ["cleaned up"]
            assert gate.canceled == 1

    run(scenario())


def test_an_attempt_that_outlives_the_stop_timeout_is_retried_and_logged(
    tmp_path: Path, run: Runner, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        path = blocking_app(tmp_path / "e", 'return funcs.call("app:block", 5)', worker_stop_timeout="100ms")
        async with saros.open(path) as opened:
            order = await opened.start("app:main")
            await eventually(lambda: gate.inside == 1, "it has begun")
            async with asyncio.timeout(8):  # by default the workers wait for ten seconds
                await opened.stop_workers()
            opened.start_workers()
            await eventually(lambda: gate.attempts == [1, 2], "it is tried again")
            gate.opened.set()
            assert await order.result(90) == 5

    run(scenario())
    assert "app:block" in caplog.text
    assert "its worker stops" in caplog.text


def test_a_thread_does_not_hold_the_exit(tmp_path: Path) -> None:
    path = lua_app(
        tmp_path / "f",
        workflows={"main": 'return funcs.call("app:block")'},
        python={"block": "sleeps:block"},
        files={
            "sleeps.py": "import time\n\ndef block():\n    print('begun', flush=True)\n    time.sleep(600)\n"
        },
        worker_options={"worker_stop_timeout": "100ms"},
    )
    script = textwrap.dedent("""
        import asyncio, sys
        import saros

        async def main():
            async with saros.open(sys.argv[1]) as opened:
                await opened.start("app:main")
                await asyncio.to_thread(sys.stdin.readline)

        asyncio.run(main())
        print("over", flush=True)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        said, _ = process.communicate("go\n", timeout=60)
        assert said == "over\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
