"""How soon another process hears of something, and what an idle worker costs; see sql_bench.py."""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from processes import Process, serve

import saros
from saros_cli import session
from saros_cli.commands.serve import tune_collector

APP = Path(__file__).parent / "apps" / "steps"
WARM = 5
WAKES = 100
IDLE_S = 20


def database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return f"{url.partition('?')[0].rpartition('/')[0]}/{name}"


async def worker(url: str) -> None:
    """Notes when it gets which workflow task, by the clock that all processes share."""
    tune_collector()
    async with saros.open(APP, backend=url) as app:
        store: Any = app.backend.store  # type: ignore[attr-defined]
        take, taken = store.take, {}

        async def noting(*args: Any) -> Any:
            tasks = await take(*args)
            now = time.monotonic_ns()
            for task in tasks:
                taken.setdefault(task.run.id, now)
            return tasks

        store.take = noting

        heard: list[int] = []
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("127.0.0.1", 0))
        own.setblocking(False)

        def hear() -> None:
            own.recv(1)
            heard.append(time.monotonic_ns())

        asyncio.get_running_loop().add_reader(own, hear)

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            await asyncio.sleep(question["seconds"])
            return {"taken": taken, "heard": heard, "port": own.getsockname()[1]}

        await serve(answer)


async def measure(url: str) -> None:
    """Print the time from when one process knows that its start is stored to when another takes it."""
    process = Process(__file__, "worker", url)
    try:
        starts: dict[str, int] = {}
        bare: list[int] = []
        port = (await process.ask(seconds=0))["port"]
        async with saros.open(APP, backend=url, workers=False) as app:
            for _ in range(WAKES + WARM):
                handle = await app.start("bench:nap", 0.001)
                starts[handle.id] = time.monotonic_ns()
                await handle.result(60)
                bare.append(time.monotonic_ns())
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"x", ("127.0.0.1", port))
                await asyncio.sleep(random.uniform(0.01, 0.1))
        noted = await process.ask(seconds=2)
        taken = noted["taken"]
        limit = sorted((heard - sent) / 1e6 for sent, heard in zip(bare, noted["heard"], strict=True))
        waits = sorted((taken[id] - stored) / 1e6 for id, stored in list(starts.items())[WARM:])
        idle = (await process.ask(seconds=IDLE_S))["cpu"] / IDLE_S
    finally:
        process.stop()
    p95 = waits[int(len(waits) * 0.95)]
    print(
        f"{url.partition(':')[0]:<12} wake-up p50 {statistics.median(waits):.1f} ms, p95 {p95:.1f} ms,"
        f" slowest {waits[-1]:.1f} ms (a bare datagram: p50 {statistics.median(limit):.1f}, p95"
        f" {limit[int(len(limit) * 0.95)]:.1f}, slowest {limit[-1]:.1f} ms); an idle worker uses {idle:.2%} of a CPU",
        flush=True,
    )


if __name__ == "__main__":
    session.run(worker(sys.argv[2]))
