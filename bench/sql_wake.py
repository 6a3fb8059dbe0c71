"""How soon another process hears of something, and what an idle worker costs; see sql_bench.py."""

from __future__ import annotations

import asyncio
import random
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

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            await asyncio.sleep(question["seconds"])
            return {"taken": taken}

        await serve(answer)


async def measure(url: str) -> None:
    """Print the time from when one process knows that its start is stored to when another takes it."""
    process = Process(__file__, "worker", url)
    try:
        starts: dict[str, int] = {}
        async with saros.open(APP, backend=url, workers=False) as app:
            for _ in range(WAKES + WARM):
                handle = await app.start("bench:nap", 0.001)
                starts[handle.id] = time.monotonic_ns()
                await handle.result(60)
                await asyncio.sleep(random.uniform(0.01, 0.1))
        taken = (await process.ask(seconds=2))["taken"]
        waits = sorted((taken[id] - stored) / 1e6 for id, stored in list(starts.items())[WARM:])
        idle = (await process.ask(seconds=IDLE_S))["cpu"] / IDLE_S
    finally:
        process.stop()
    p95 = waits[int(len(waits) * 0.95)]
    print(
        f"{url.partition(':')[0]:<12} wake-up p50 {statistics.median(waits):.1f} ms, p95 {p95:.1f} ms,"
        f" slowest {waits[-1]:.1f} ms; an idle worker uses {idle:.2%} of a CPU",
        flush=True,
    )


if __name__ == "__main__":
    session.run(worker(sys.argv[2]))
