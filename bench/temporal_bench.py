"""Saros on Temporal against Temporal's own Python SDK, in one run, on one dev server.

    python bench/temporal_bench.py [--workflows 400] [--concurrency 50] [--replay-events 5000]

Runs the same workflow (five echo activities, one after the other) in Lua on saros-temporal, and in Python in the
SDK's default sandbox, with the same worker limits. Each worker is a separate process, whose CPU time is measured;
this process is the client of both. Prints a table and, with --json, the figures.

Each worker runs as its users run it: Saros's on uvloop, as in `saros run`, and the SDK's on asyncio's event loop.
With --plain-loop, both run on asyncio's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, Worker

LIMITS = {"max_concurrent_workflow_tasks": 100, "max_concurrent_activities": 100}

LUA = """
local funcs = require("funcs")
return function(input, local_too, times)
  local executor = funcs.new()
  if local_too then
    executor = executor:with_options({ ["activity.local"] = true })
  end
  for _ = 1, times do
    local value, err = executor:call("app:echo", input)
    if err then
      return nil, err
    end
  end
  return input
end
"""
APP = """
namespace: app
entries:
  - name: worker
    kind: temporal.worker
    task_queue: lua
    worker_options:
      max_concurrent_workflow_task_execution_size: 100
      max_concurrent_activity_execution_size: 100
  - {name: echo, kind: function.lua, source: "file://echo.lua"}
  - {name: flow, kind: workflow.lua, source: "file://flow.lua", modules: [funcs]}
"""


@activity.defn
async def echo(value: Any) -> Any:
    return value


@workflow.defn
class Flow:
    """The same workflow in Python."""

    @workflow.run
    async def run(self, value: Any, local_too: bool, times: int) -> Any:
        for _ in range(times):
            if local_too:
                await workflow.execute_local_activity(
                    echo, value, start_to_close_timeout=timedelta(minutes=10)
                )
            else:
                await workflow.execute_activity(echo, value, start_to_close_timeout=timedelta(minutes=10))
        return value


# --- workers, each in a process of its own ------------------------------------------------------------


async def python_worker(address: str) -> None:
    client = await Client.connect(address)
    worker = Worker(client, task_queue="python", workflows=[Flow], activities=[echo], **LIMITS)
    async with worker:
        await told_to_stop()


async def lua_worker(address: str) -> None:
    with app_directory() as root:
        async with opened(root, address):
            await told_to_stop()


async def told_to_stop() -> None:
    """Report the CPU time at each line of standard input, until it ends."""
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)


@contextlib.contextmanager
def app_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "_index.yaml").write_text(APP)
        (root / "flow.lua").write_text(LUA)
        (root / "echo.lua").write_text("return function(x) return x end\n")
        yield root


def opened(root: Path, address: str) -> Any:
    from saros.app.opening import open_app

    return open_app(root, f"temporal://{address}/default")


def run_worker(kind: str, address: str, plain_loop: bool) -> None:
    factory = None if kind == "python" or plain_loop else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run((lua_worker if kind == "lua" else python_worker)(address))


class Measured:
    """A worker process."""

    def __init__(self, kind: str, address: str, plain_loop: bool = False) -> None:
        command = [sys.executable, __file__, "--worker", kind, "--address", address]
        command += ["--plain-loop"] if plain_loop else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


# --- measurements -------------------------------------------------------------------------------------


async def throughput(
    client: Client, kind: str, worker: Measured, count: int, concurrency: int, local_too: bool
) -> dict[str, float]:
    """Return workflows per second, and the worker's CPU seconds per workflow."""
    name = "app:flow" if kind == "lua" else "Flow"
    room = asyncio.Semaphore(concurrency)

    async def one() -> None:
        async with room:
            await client.execute_workflow(
                name, args=[{"n": 1, "s": "x"}, local_too, 5], id=uuid.uuid4().hex, task_queue=kind
            )

    await asyncio.gather(*[one() for _ in range(20)])  # warm up
    cpu, began = worker.cpu(), time.perf_counter()
    await asyncio.gather(*[one() for _ in range(count)])
    took = time.perf_counter() - began
    return {"per_second": count / took, "cpu": (worker.cpu() - cpu) / count}


async def history_of(client: Client, kind: str, events: int) -> WorkflowHistory:
    """Return a history of about `events` events, six per activity."""
    name = "app:flow" if kind == "lua" else "Flow"
    handle = await client.start_workflow(
        name, args=[{"n": 1, "s": "x"}, False, events // 6], id=uuid.uuid4().hex, task_queue=kind
    )
    await handle.result()
    return await handle.fetch_history()


async def replay_python(history: WorkflowHistory) -> None:
    await Replayer(workflows=[Flow]).replay_workflow(history)


def replay_time(kind: str, history: WorkflowHistory, rounds: int = 3) -> float:
    """Return the CPU seconds of a replay, the best of several rounds."""
    from saros.app.loading import load_app
    from saros_temporal.worker.workflow_runner import replay_history

    best = float("inf")
    with app_directory() as root:
        deployment = load_app(root)
        for _ in range(rounds):
            began = time.process_time()
            asyncio.run(replay_history(history, deployment) if kind == "lua" else replay_python(history))
            best = min(best, time.process_time() - began)
    return best


@contextlib.asynccontextmanager
async def dev_server() -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [shutil.which("temporal", path=path) or "temporal", "server", "start-dev", "--headless"]
    command += ["--ip", "127.0.0.1", "--port", str(port), "--log-level", "never"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def connected(address: str) -> Client:
    for _ in range(100):
        with contextlib.suppress(RuntimeError):
            return await Client.connect(address)
        await asyncio.sleep(0.2)
    raise RuntimeError("the dev server did not start")


async def measure(workflows: int, concurrency: int, events: int, plain_loop: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    histories: dict[str, WorkflowHistory] = {}
    async with dev_server() as address:
        client = await connected(address)
        await asyncio.sleep(2)  # its namespace takes a moment to exist
        for kind in ("python", "lua"):
            worker = Measured(kind, address, plain_loop)
            try:
                rounds = [
                    await throughput(client, kind, worker, workflows, concurrency, False) for _ in range(2)
                ]
                figures[kind] = max(rounds, key=lambda item: item["per_second"])
                figures[f"{kind} local"] = await throughput(
                    client, kind, worker, workflows, concurrency, True
                )
                histories[kind] = await history_of(client, kind, events)
            finally:
                worker.close()
    loop = asyncio.get_running_loop()
    for kind, history in histories.items():
        figures[kind]["replay"] = await loop.run_in_executor(None, replay_time, kind, history)
        figures[kind]["replay_events"] = len(history.events)
    lua, python = figures["lua"], figures["python"]
    figures["ratios"] = {
        "workflows per second (target >= 1.0)": lua["per_second"] / python["per_second"],
        "CPU per workflow (target <= 0.7)": lua["cpu"] / python["cpu"],
        "replay (target <= 0.5)": lua["replay"] / python["replay"],
        "local against regular activities (target >= 3)": figures["lua local"]["per_second"]
        / lua["per_second"],
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workflows", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--replay-events", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", choices=("lua", "python"), help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--plain-loop", action="store_true", help="the Lua worker without uvloop")
    given = parser.parse_args()
    if given.worker:
        run_worker(given.worker, given.address, given.plain_loop)
        return
    work = measure(given.workflows, given.concurrency, given.replay_events, given.plain_loop)
    figures = asyncio.run(work)
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'':16}{'workflows/s':>14}{'CPU ms each':>14}{'replay ms':>12}{'events':>8}")
    for name in ("python", "lua", "python local", "lua local"):
        row = figures[name]
        replay = f"{row['replay'] * 1000:12.0f}{row['replay_events']:8d}" if "replay" in row else ""
        print(f"{name:16}{row['per_second']:14.1f}{row['cpu'] * 1000:14.2f}{replay}")
    for name, ratio in figures["ratios"].items():
        print(f"{ratio:6.2f}  {name}")


if __name__ == "__main__":
    main()
