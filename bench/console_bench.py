"""Measure the console over HTTP: lists of many executions, long runs, live updates, weights, and CPU at rest.

    python bench/console_bench.py                          every backend, each with a server of its own
    python bench/console_bench.py redis sqlite --count 20000
    python bench/console_bench.py postgresql --url postgresql://bench@localhost/bench

The console is the command `saros console` in a process of its own; only that of memory runs in this process,
together with the client that measures it. Each figure is the median of some requests, with the CPU time that the
console itself used for one. Live updates are measured from the request that changes something to the event that
shows it. Temporal's dev server is slow at writing, so its list and its history are shorter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import uvloop
from processes import side_by_side

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.servers import PostgresServer, RedisServer, TemporalServer

import saros
from saros.model.background import Jobs
from saros.model.timing import datetime_of
from saros_console.server import Settings, serving
from saros_testing import eventually

APP = Path(__file__).parent / "apps" / "console"
BACKENDS = ("memory", "redis", "sqlite", "postgresql", "temporal")
LESS = {"temporal": 50}
"""Backends with so many times fewer executions, and five times fewer events."""
REST_S = 10.0
PATIENCE_S = 120.0
RETRYING = 200
"""Executions with an activity that is tried again."""
AT_ONCE, FEW_AT_ONCE = 500, 50
"""Executions that are started concurrently: stores write many of them in one transaction, Temporal does not."""


@contextlib.contextmanager
def server(name: str) -> Iterator[str]:
    """The URL of an empty backend."""
    with tempfile.TemporaryDirectory(prefix="saros-bench-") as folder:
        path = Path(folder)
        if name == "memory":
            yield "memory://"
        elif name == "sqlite":
            yield f"sqlite:///{path}/bench.db"
        elif name == "postgresql":
            postgres = PostgresServer()
            try:
                postgres.start()
                yield postgres.url()
            finally:
                postgres.stop()
        else:
            kinds = {"redis": RedisServer, "temporal": TemporalServer}
            started = kinds[name](path, *(("--log-level", "never") if name == "temporal" else ()))
            with started.running():
                yield started.url()


class Seen(NamedTuple):
    """The console that is measured: its address and its process."""

    url: str
    process: psutil.Process

    def cpu(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.asynccontextmanager
async def console(app: saros.App, url: str) -> AsyncIterator[Seen]:
    """Serve the console: of memory here, of any other backend in a process."""
    if url == "memory://":
        ready, jobs = serving(app, Settings()), Jobs()
        jobs.start(ready.serve(), "the console")
        try:
            yield Seen(ready.url, psutil.Process())
        finally:
            ready.server.should_exit = True
            await jobs.wait(10.0)
            await jobs.end()
        return
    command = [str(Path(sys.executable).parent / "saros"), "console", "--backend", url, "--app", str(APP)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = (await process.stdout.readline()).decode()
        yield Seen(told.split()[1], psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()


async def pages(client: httpx.AsyncClient, seen: Seen, path: str, what: str, times: int = 9) -> None:
    """Load a page some times."""
    walls: list[float] = []
    used = seen.cpu()
    for _ in range(times):
        begun = time.perf_counter()
        response = await client.get(path)
        walls.append((time.perf_counter() - begun) * 1_000)
        assert response.status_code == 200, response.text[:2_000]
    used = (seen.cpu() - used) * 1_000 / times
    weight = len(response.content) / 1_000
    print(
        f"  {what:<34}{walls[0]:>9.0f}{statistics.median(walls):>9.0f}{min(walls):>9.0f}{used:>9.0f}{weight:>9.1f}",
        flush=True,
    )


async def live(
    client: httpx.AsyncClient,
    path: str,
    what: str,
    change: Callable[[int], Awaitable[Callable[[str], bool]]],
    times: int = 5,
) -> None:
    """Open a stream, change something, and wait until an event shows it."""
    walls = []
    async with client.stream("GET", path) as response, asyncio.timeout(PATIENCE_S):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data:"):
                break
        for number in range(times):
            await asyncio.sleep(0.3 + 0.17 * number)  # at different times between two looks
            begun = time.perf_counter()
            shown = await change(number)
            async for line in lines:
                if shown(line):
                    break
            walls.append((time.perf_counter() - begun) * 1_000)
    print(
        f"  {what:<34}{walls[0]:>9.0f}{statistics.median(walls):>9.0f}{min(walls):>9.0f}{max(walls):>9.0f} (most)",
        flush=True,
    )


async def fill(app: saros.App, count: int, attributes: bool) -> None:
    """Start executions on a task queue that nobody serves, with search attributes or without, and end every tenth."""

    async def start(number: int) -> None:
        options: dict[str, Any] = {"task_queue": "idle"}
        if attributes:
            options["search_attributes"] = {"customer": f"c-{number % 100}"}
        handle = await app.start("bench:wait", number, id=f"wait-{number}", options=options)
        if number % 10 == 9:
            await handle.terminate("enough")

    begun = time.perf_counter()
    await side_by_side(start, count, AT_ONCE if attributes else FEW_AT_ONCE)
    print(f"  {count:,} executions made in {time.perf_counter() - begun:.0f} s", flush=True)


async def retrying(app: saros.App, count: int, *, older: bool) -> None:
    """Start executions whose activity fails and is tried again after an hour, and wait until all have failed once."""
    handles = [
        await app.start("bench:away", id=f"away-{'old' if older else 'new'}-{number}")
        for number in range(count)
    ]
    for handle in handles:

        async def failed(handle: saros.Handle = handle) -> bool:
            return any(each.attempt > 1 for each in await app.backend.activities(handle.id))

        await eventually(failed, "its activity has failed", PATIENCE_S)


async def long_run(app: saros.App, events: int) -> None:
    handle = await app.start("bench:long", events // 2, id="long")

    async def is_long() -> bool:
        return (await handle.describe()).history_length >= events

    await eventually(is_long, f"it has {events:,} events", PATIENCE_S * 5)
    print(f"  a run of {events:,} events", flush=True)


async def measure(name: str, url: str, count: int, events: int) -> None:
    async with saros.open(APP, backend=url) as app:
        await retrying(app, 1, older=True)
        await fill(app, count, name != "temporal")
        await long_run(app, events)
        async with (
            console(app, url) as seen,
            httpx.AsyncClient(base_url=seen.url, timeout=PATIENCE_S) as client,
        ):
            if name == "temporal":  # attributes are registered by hand there; lists lag behind
                attribute = "type = 'wait'"

                async def listed() -> bool:
                    return await app.count() > count

                await eventually(listed, "the server lists them", PATIENCE_S)
            else:
                attribute = "customer = 'c-42'"
            print(f"  {'':<34}{'first ms':>9}{'p50 ms':>9}{'min ms':>9}{'CPU ms':>9}{'kB':>9}")
            await pages(client, seen, "/", "executions")
            await pages(client, seen, "/?status=running", "executions that run")
            older = re.search(r'href="([^"]*cursor=[^"]*)"', (await client.get("/")).text)
            assert older is not None
            await pages(client, seen, older[1].replace("&amp;", "&"), "the second page")
            middle = datetime_of((await app.backend.describe(f"wait-{count // 2}")).start_time)
            await pages(client, seen, f"/?q=start_time <= '{middle:%FT%TZ}'", "a page in the middle")
            await pages(client, seen, f"/?q={attribute}", attribute)
            await pages(client, seen, "/?q=start_time > now - 1h", "by time")
            await pages(client, seen, "/?status=retrying", "retrying: 1 of all", 3)
            await pages(client, seen, "/?status=parked", "parked: 0 of all", 3)
            await retrying(app, RETRYING, older=False)
            await pages(client, seen, "/?status=retrying", f"retrying: {RETRYING} more", 3)
            await pages(client, seen, "/failures", "failures", 3)
            await pages(client, seen, "/workers", "workers")
            await pages(client, seen, "/execution?id=wait-7", "a short run")
            await pages(client, seen, "/execution?id=long", "a long run")
            await pages(client, seen, f"/execution?id=long&from={events // 2}", "its events in the middle")

            async def start(number: int) -> Callable[[str], bool]:
                await app.start("bench:wait", id=f"live-{number}", options={"task_queue": "idle"})
                return lambda line: f"live-{number}" in line

            async def signal(number: int) -> Callable[[str], bool]:
                before = f">{(await app.get('long').describe()).history_length:,} events"
                await app.get("long").signal("go", number)
                return lambda line: " events<" in line and before not in line

            await live(client, "/live/executions", "live: a new execution", start)
            await live(client, "/live/execution?id=long", "live: a signal to the long run", signal)
            print(f"  kB beside a page: {await weights(client)}", flush=True)
            used = seen.cpu()
            await asyncio.sleep(REST_S)
            used = seen.cpu() - used
            more = ", with the app's workers" if url == "memory://" else ""
            print(f"  nobody looks: {used / REST_S:.2%} of a processor{more}", flush=True)


async def weights(client: httpx.AsyncClient) -> str:
    """What a browser loads with each first page, in kB."""
    found = re.findall(r'(?:src|href)="/static/([^"]+)"', (await client.get("/")).text)
    sizes = {path: len((await client.get(f"/static/{path}")).content) / 1_000 for path in sorted({*found})}
    return ", ".join(f"{path} {size:.1f}" for path, size in sizes.items())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backends", nargs="*", metavar="backend", help=", ".join(BACKENDS))
    parser.add_argument("--count", type=int, default=100_000, help="executions of the list")
    parser.add_argument("--events", type=int, default=10_000, help="events of the long run")
    parser.add_argument("--url", help="a server instead of one of its own")
    chosen = parser.parse_args()
    logging.getLogger("saros").setLevel(logging.ERROR)  # attempts that fail on purpose are warnings
    for name in chosen.backends or BACKENDS:
        count = chosen.count // LESS.get(name, 1)
        events = chosen.events // (5 if name in LESS else 1)
        print(f"{name}", flush=True)
        with server(name) if chosen.url is None else contextlib.nullcontext(chosen.url) as url:
            uvloop.run(measure(name, url, count, events))


if __name__ == "__main__":
    main()
