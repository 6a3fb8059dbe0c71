"""How fast Saros is in one process, on ``memory://``.

    python bench/memory_bench.py            a table, with progress on a terminal
    python bench/memory_bench.py --json     data only
    python bench/memory_bench.py --only replay --only sleepers

Rates and latencies are wall time; the `CPU` lines are process time, which a busy machine disturbs less.
Each figure is measured in its own process, so no measurement inherits the heap of another; Python's garbage
collector is configured as in `saros run`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import saros
from saros.app.app import App
from saros.engine import StoreBackend
from saros.engine.replay import load
from saros.model.execution import Record
from saros.model.records import CALL, DONE, TIMER
from saros_cli.commands.serve import tune_collector

os.environ.setdefault("OTEL_SDK_DISABLED", "true")  # measure Saros alone, also where saros-otel is installed

STEPS_APP = Path(__file__).parent / "apps" / "steps"
ECHOES = {"python": "bench:python_echo", "lua": "bench:lua_echo", "local": "bench:local_echo"}
STEPS = 5
US = 1e6


class Figure(NamedTuple):
    """One line of the report. `target` is the goal, such as ``>= 2500`` or ``<= 8192``."""

    name: str
    value: float
    unit: str
    target: str = ""

    @property
    def reached(self) -> bool | None:
        if not self.target:
            return None
        sign, wanted = self.target.split()
        return self.value >= float(wanted) if sign == ">=" else self.value <= float(wanted)


Measure = Callable[[int], Coroutine[Any, Any, list[Figure]]]


# --- throughput -------------------------------------------------------------------------------------


async def start_and_wait(app: App, echo: str, number: int) -> None:
    handle = await app.start("bench:five", echo, number)
    if await handle.result() != number:
        raise RuntimeError(f"workflow {handle.id} did not return {number}")


async def side_by_side(work: Callable[[int], Awaitable[None]], count: int, concurrency: int) -> None:
    """Run `work` `count` times, `concurrency` at a time."""
    numbers: Iterator[int] = iter(range(count))

    async def client() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*(client() for _ in range(concurrency)))


async def throughput(
    scale: int, kind: str, concurrency: int, targets: Sequence[str] = ("", "")
) -> list[Figure]:
    count = 60 * scale
    async with saros.open(STEPS_APP, "memory://") as app:

        async def one(number: int) -> None:
            await start_and_wait(app, ECHOES[kind], number)

        await side_by_side(one, count // 4, concurrency)
        tune_collector()
        wall, cpu = time.perf_counter(), time.process_time()
        await side_by_side(one, count, concurrency)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    what = f"{kind}, {concurrency} at a time"
    return [
        Figure(f"workflows ({what})", count / wall, "workflows/s", targets[0]),
        Figure(f"steps ({what})", count * STEPS / wall, "steps/s", targets[1]),
        Figure(f"CPU of a workflow ({what})", cpu / count * US, "us"),
    ]


async def python_16(scale: int) -> list[Figure]:
    return await throughput(scale, "python", 16, (">= 2500", ">= 12000"))


async def python_100(scale: int) -> list[Figure]:
    return await throughput(scale, "python", 100)


async def lua_16(scale: int) -> list[Figure]:
    return await throughput(scale, "lua", 16)


async def local_16(scale: int) -> list[Figure]:
    return await throughput(scale, "local", 16)


async def plain_asyncio(scale: int) -> list[Figure]:
    """The same echoes without Saros, as asyncio tasks: nothing is recorded, and nothing survives."""
    sys.path.insert(0, str(STEPS_APP))
    from echo import echo  # type: ignore[import-not-found]

    async def five(number: int) -> None:
        for n in range(STEPS):
            await asyncio.create_task(echo({"id": number, "n": n}))

    count = 60 * scale
    began = time.perf_counter()
    await side_by_side(five, count, 16)
    return [Figure("plain asyncio, nothing durable", count / (time.perf_counter() - began), "workflows/s")]


# --- steps ------------------------------------------------------------------------------------------


async def records_of(app: App, id: str) -> Sequence[Record]:
    return (await app.backend.history(id)).records


def step_times(records: Sequence[Record]) -> list[float]:
    """Return the seconds from each call to its result, by the times in the history."""
    called = {record.ref: record.time for record in records if record.op == CALL}
    return [(record.time - called[record.ref]) / 1e9 for record in records if record.op == DONE]


async def latency(scale: int, concurrency: int) -> list[Figure]:
    steps = 50 * scale // concurrency
    times: list[float] = []
    async with saros.open(STEPS_APP, "memory://") as app:
        tune_collector()

        async def ladder(_number: int) -> None:
            handle = await app.start("bench:ladder", ECHOES["python"], steps)
            await handle.result()
            times.extend(step_times(await records_of(app, handle.id)))

        await side_by_side(ladder, concurrency, concurrency)
    points = statistics.quantiles(times, n=100)
    what = "sequential" if concurrency == 1 else f"{concurrency} at a time"
    return [
        Figure(f"latency of a step, p50 ({what})", points[49] * US, "us"),
        Figure(f"latency of a step, p99 ({what})", points[98] * US, "us"),
    ]


async def latency_1(scale: int) -> list[Figure]:
    return await latency(scale, 1)


async def latency_100(scale: int) -> list[Figure]:
    return await latency(scale, 100)


LENGTHS = (100, 1_000, 10_000)


async def flatness(scale: int) -> list[Figure]:
    """The median time of a step at several lengths of the history."""
    found: dict[int, list[float]] = {length: [] for length in LENGTHS}
    async with saros.open(STEPS_APP, "memory://") as app:
        tune_collector()
        for length in LENGTHS:
            for _ in range(max(3, 2 * scale * 10 // length)):
                handle = await app.start("bench:ladder", ECHOES["python"], round(length * 0.6))
                await handle.result()
                window = (await records_of(app, handle.id))[round(length * 0.8) : round(length * 1.2)]
                found[length] += between_calls(window)
    medians = {length: statistics.median(times) for length, times in found.items()}
    figures = [Figure(f"cost of a step at {n:,} events", cost * US, "us") for n, cost in medians.items()]
    worst = max(medians.values()) / medians[LENGTHS[0]]
    return [*figures, Figure("cost of a step, worst / at 100 events", worst, "x", "<= 1.3")]


def between_calls(records: Sequence[Record]) -> list[float]:
    """Return the seconds from each call to the next, which is a whole step."""
    times = [record.time for record in records if record.op == CALL]
    return [(after - before) / 1e9 for before, after in pairwise(times)]


# --- memory and replay ------------------------------------------------------------------------------


async def sleepers(scale: int) -> list[Figure]:
    """The cost of a workflow that has done one step and sleeps, with its program evicted."""
    count = 1_000 * scale
    async with saros.open(STEPS_APP, "memory://") as app:
        backend = app.backend
        if not isinstance(backend, StoreBackend):
            raise RuntimeError("memory:// runs on the engine")

        async def sleeper(number: int) -> None:
            handle = await app.start("bench:sleeper", ECHOES["python"], number)
            async for line in handle.watch():
                if line.record.op == TIMER:
                    return

        await side_by_side(sleeper, 2_000, 100)
        before = resident(backend)
        began = time.process_time()
        await side_by_side(sleeper, count, 100)
        cpu = time.process_time() - began
        size = resident(backend) - before
    return [
        Figure(f"memory of a sleeping workflow, of {count:,}", size / count, "bytes", "<= 8192"),
        Figure("CPU until it sleeps", cpu / count * US, "us"),
    ]


def resident(backend: StoreBackend) -> int:
    """Evict every live program, and return the bytes of memory that this process holds."""
    worker = backend.workflow_worker
    if worker is not None:
        worker.drop_all()
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def replay(scale: int) -> list[Figure]:
    """The time to replay a history of 10,000 events."""
    async with saros.open(STEPS_APP, "memory://") as app:
        handle = await app.start("bench:ladder", ECHOES["python"], 5_000)
        await handle.result()
        page = await app.backend.history(handle.id)
        tune_collector()
        times: list[float] = []
        for _ in range(max(3, scale // 10)):
            began = time.perf_counter()
            load(page.run, app.deployment, page.records).close()
            times.append(time.perf_counter() - began)
    rate = len(page.records) / statistics.median(times)
    return [Figure(f"replay of {len(page.records):,} events", rate, "events/s", ">= 100000")]


MEASURES: dict[str, Measure] = {
    "python": python_16,
    "python-100": python_100,
    "lua": lua_16,
    "local": local_16,
    "asyncio": plain_asyncio,
    "latency": latency_1,
    "latency-100": latency_100,
    "flatness": flatness,
    "replay": replay,
    "sleepers": sleepers,
}


# --- report -----------------------------------------------------------------------------------------


def in_a_process(name: str, scale: int) -> list[Figure]:
    """Measure in a fresh interpreter.

    :raises RuntimeError: with its output, if it failed.
    """
    command = [sys.executable, __file__, "--measure", name, "--scale", str(scale)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring {name} failed:\n{done.stderr}")
    return [Figure(**item) for item in json.loads(done.stdout)]


def versus_asyncio(figures: Sequence[Figure]) -> list[Figure]:
    """The cost of durability: the rate of the same calls in plain asyncio, divided by ours."""
    by_name = {figure.name: figure.value for figure in figures}
    plain, ours = (
        by_name.get("plain asyncio, nothing durable"),
        by_name.get("workflows (python, 16 at a time)"),
    )
    return [Figure("plain asyncio / durable", plain / ours, "x")] if plain and ours else []


def table_of(figures: Sequence[Figure]) -> Table:
    table = Table(title=f"Saros in one process, memory://, Python {sys.version.split()[0]}")
    table.add_column("figure")
    for column in ("value", "unit", "target"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for figure in figures:
        style = {True: "green", False: "bold red", None: ""}[figure.reached]
        value = f"{figure.value:,.2f}" if figure.value < 100 else f"{figure.value:,.0f}"
        table.add_row(figure.name, f"[{style}]{value}[/]" if style else value, figure.unit, figure.target)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print data only")
    parser.add_argument("--only", action="append", choices=[*MEASURES], help="what to measure; default: all")
    parser.add_argument("--scale", type=int, default=100, help="size of each measure; default 100")
    parser.add_argument("--measure", choices=[*MEASURES], help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.measure:
        figures = asyncio.run(MEASURES[wanted.measure](wanted.scale))
        print(json.dumps([figure._asdict() for figure in figures]))
        return
    console = Console(stderr=True)
    figures = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        names = wanted.only or [*MEASURES]
        task = progress.add_task("", total=len(names))
        for name in names:
            progress.update(task, description=name)
            figures += in_a_process(name, wanted.scale)
            progress.advance(task)
    figures += versus_asyncio(figures)
    if wanted.json:
        print(json.dumps([{**figure._asdict(), "reached": figure.reached} for figure in figures], indent=2))
    else:
        Console().print(table_of(figures))


if __name__ == "__main__":
    main()
