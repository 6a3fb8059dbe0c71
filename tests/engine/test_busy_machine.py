"""Virtual time on a busy machine: no time limit expires because the machine is slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saros_testing import lua_app

PYTHON = """
import asyncio

attempts = 0

def plain(n):
    global attempts
    attempts += 1
    return n

async def coroutine(n):
    plain(n)
    await asyncio.sleep(0)
    return n
"""
MAIN = """
    local options = {["activity.start_to_close_timeout"] = 10200, ["activity.schedule_to_start_timeout"] = "30s",
                     ["activity.schedule_to_close_timeout"] = "40s", ["activity.heartbeat_timeout"] = "15s"}
    local call = funcs.new():with_options(options)
    local futures = {}
    coroutine.spawn(function() while true do time.sleep("7s") end end)
    for round = 1, 3 do
      for n, name in ipairs{"plain", "coroutine", "lua", "inner"} do
        futures[n] = call:async("app:" .. name, round)
      end
      for _, future in ipairs(futures) do
        local value, ok = future:response():receive()
        if not ok or value:data() ~= round then return {tostring(value)} end
      end
    end
    return "done"
"""
RUN = """
import asyncio, sys, warnings
warnings.simplefilter("error")
import saros

async def main():
    async with saros.open(sys.argv[1], backend="memory://?time=skip") as app:
        print("ready", flush=True)
        for n in range(40):
            order = await app.start("app:main")
            assert await order.result(timeout=60) == "done"
            assert all("attempt" not in line.summary for line in await order.history())
        import functions
        assert functions.attempts == 40 * 3 * 3, functions.attempts

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_paused_process_exceeds_no_time_limit(loop: str, tmp_path: Path) -> None:
    """After a pause, the two loops differ in what they run first: due timers, or callbacks that were ready."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    path = lua_app(
        tmp_path,
        workflows={"main": MAIN},
        functions={"lua": "return input", "inner": 'return (funcs.call("app:plain", input))'},
        python={"plain": "functions:plain", "coroutine": "functions:coroutine"},
        files={"functions.py": PYTHON},
    )
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.004)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.002)
    _out, problems = process.communicate(timeout=60)
    assert problems == ""
    assert process.returncode == 0
