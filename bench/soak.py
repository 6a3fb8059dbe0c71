"""A soak test: for minutes, it kills workers, cuts connections, restarts servers and sets clocks.

Nothing may be lost, doubled or early.

    python bench/soak.py memory [SECONDS]
    python bench/soak.py redis [SECONDS]
    python bench/soak.py temporal [SECONDS]

Meanwhile, it runs workflows whose results prove what happened (see orders.py). On memory, where everything ends
with the process, workers stop and start again within it. Clocks are set forward and back by three hours: this
process's clock on memory, the workers' clocks elsewhere, and on Redis also the server's. (A Temporal server asks
the kernel for the time, so setting its clock would need a separate machine.) The soak prints the disturbances,
and everything that was lost (acknowledged, but without the right result), doubled (a step that is in a history
twice) or early (a sleep); it fails if there was anything. SEED= repeats the disturbances.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

# ruff: noqa: E402 - the path to the code shared with tests is set first
sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from clocks import Clock, build
from orders import CHILD, NAP, NONE, ORDER, STEP_S, Tally, nap, one, patiently
from servers import RedisServer, Server, TemporalServer
from workers import Worker

import saros
from saros_testing import lua_app

WORKERS = 3
SHOW_TASKS = """
signal.signal(signal.SIGUSR1, lambda *_: [task.print_stack() for task in asyncio.all_tasks()])
"""
"""Has a worker print on SIGUSR1 what its tasks wait for."""
Disturb = Callable[[random.Random], Awaitable[str]]


class Place:
    """Where a soak runs.

    :param server: the server to start and stop; None on memory.
    :param library: the library with which clocks are set (see clocks.py), if there is one.
    """

    def __init__(self, folder: Path, server: Server | None, library: Path | None) -> None:
        self._folder = folder
        self._server = server
        self._workers: list[Worker] = []
        self._path = Path()
        self._clocks = [Clock(library, folder / f"clock{n}") for n in range(WORKERS)] if library else []
        self._url = "memory://"
        if server is not None:
            self._url = server.url(lease="2s") if isinstance(server, RedisServer) else server.url()
        self._disturbances = self._find(server, library)

    def _find(self, server: Server | None, library: Path | None) -> list[Disturb]:
        if server is None:
            clock = Clock.inherited()
            return [self._stop, *([_setter("clock", [clock])] if clock else [])]
        found: list[Disturb] = [self._kill, self._terminate, self._freeze] * 2
        found += [self._restart, self._pause]
        if self._clocks:
            found += [_setter("clock of a worker", self._clocks)]
        if isinstance(server, RedisServer):
            found += [self._drop]
            if library:
                clock = Clock(library, self._folder / "clock")
                server.environment = clock.environment
                found += [_setter("clock of the server", [clock])]
        return found

    def _work(self, number: int) -> Worker:
        env = self._clocks[number].environment if self._clocks else {}
        return Worker(self._path, self._url, {**env, "FIRST": SHOW_TASKS}, self._log(number))

    def _log(self, number: int) -> Path:
        return self._folder / f"worker{number}.log"

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        self._path = path
        if self._server is None:
            async with saros.open(path, backend=self._url) as app:
                yield app
            return
        self._server.start()
        try:
            context = saros.open(path, backend=self._url, workers=False)
            async with contextlib.AsyncExitStack() as stack:
                app = await patiently(Tally(), lambda: stack.enter_async_context(context))
                self._app = app
                self._workers = [self._work(number) for number in range(WORKERS)]
                yield app
        finally:
            for each in self._workers:
                each.send(signal.SIGCONT)
                each.end()
            self._server.kill()

    async def disturb(self, app: Any, dice: random.Random) -> str:
        """Cause one disturbance, which must not matter; return its name."""
        self._app = app
        return await dice.choice(self._disturbances)(dice)

    def supervise(self) -> list[str]:
        """Restart workers that ended by themselves because they found no server; return what happened."""
        found = []
        for number, each in enumerate(self._workers):
            if each.process.poll() == 1:
                each.end()
                self._workers[number] = self._work(number)
                found.append("worker found no server")
        return found

    # --- disturbances -----------------------------------------------------------------------

    async def _stop(self, dice: random.Random) -> str:
        await self._app.stop_workers()
        await asyncio.sleep(dice.random() / 10)
        self._app.start_workers()
        return "workers stopped"

    async def _kill(self, dice: random.Random) -> str:
        return await self._end(dice, signal.SIGKILL)

    async def _terminate(self, dice: random.Random) -> str:
        return await self._end(dice, signal.SIGTERM)

    async def _end(self, dice: random.Random, number: signal.Signals) -> str:
        at = dice.randrange(WORKERS)
        try:
            await asyncio.to_thread(self._workers[at].end, number, 60)
        except subprocess.TimeoutExpired:
            self._workers[at].send(signal.SIGUSR1)
            await asyncio.sleep(2)
            print(self._log(at).read_text(errors="replace")[-20_000:])
            raise AssertionError(f"a worker did not react to {number.name} within a minute") from None
        self._workers[at] = self._work(at)
        return f"worker {number.name}"

    async def _freeze(self, dice: random.Random) -> str:
        worker = dice.choice(self._workers)
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(dice.uniform(0.5, 4))
        worker.send(signal.SIGCONT)
        return "worker SIGSTOP"

    async def _restart(self, dice: random.Random) -> str:
        assert self._server is not None
        number = dice.choice([signal.SIGKILL, signal.SIGTERM])
        await asyncio.to_thread(self._server.kill, number)
        await asyncio.sleep(dice.random() * 2)
        await asyncio.to_thread(self._server.start)
        return f"server {number.name}"

    async def _pause(self, dice: random.Random) -> str:
        assert self._server is not None
        self._server.pause()
        await asyncio.sleep(dice.uniform(0.5, 4))
        self._server.resume()
        return "server SIGSTOP"

    async def _drop(self, dice: random.Random) -> str:
        """Cut all connections."""
        import redis.asyncio as aio

        assert self._server is not None
        async with aio.Redis(port=self._server.port) as client:
            with contextlib.suppress(aio.RedisError):
                await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        return "connections cut"


def _setter(name: str, clocks: list[Clock]) -> Disturb:
    """Return a disturbance that sets one of these clocks to another time."""
    shown = [0] * len(clocks)

    async def set_clock(dice: random.Random) -> str:
        at = dice.randrange(len(clocks))
        shown[at] = dice.choice([step for step in (-STEP_S, 0, STEP_S) if step != shown[at]])
        clocks[at].set(shown[at])
        return f"{name} set to {shown[at] / 3_600:+.0f} h"

    return set_clock


def place(kind: str, folder: Path, library: Path | None) -> Place:
    if kind == "memory":
        return Place(folder, None, library)
    home = folder / "server"
    home.mkdir()
    if kind == "temporal":
        return Place(folder, TemporalServer(home), library)
    # Writes count only once they are on disk, because a killed server must not forget them.
    return Place(folder, RedisServer(home, "--appendfsync", "always"), library)


# --- the run ----------------------------------------------------------------------------------


async def supervised(at: Place, tally: Tally) -> None:
    tally.disturbed += [(time.time(), what) for what in at.supervise()]
    await asyncio.sleep(0.05)


async def soak(at: Place, seconds: float, path: Path, seed: int) -> int:
    tally, dice = Tally(), random.Random(seed)
    async with at.running(path) as app:
        await one(app, tally, 0)  # the workers run
        began = time.monotonic()
        tally.slowest = NONE
        running: set[asyncio.Task[None]] = set()
        next_disturbance = time.monotonic() + 3
        number = 0
        disturbing: asyncio.Task[str] | None = None
        while time.monotonic() - began < seconds:
            while len(running) < 20:
                number += 1
                task = asyncio.create_task((nap if number % 5 == 0 else one)(app, tally, number))
                running.add(task)
                task.add_done_callback(running.discard)
            if disturbing is None and time.monotonic() > next_disturbance:
                disturbing = asyncio.create_task(at.disturb(app, dice))
            if disturbing is not None and disturbing.done():
                tally.disturbed.append((time.time(), disturbing.result()))
                disturbing, next_disturbance = None, time.monotonic() + dice.uniform(0.5, 4)
            await supervised(at, tally)
        if disturbing is not None:
            tally.disturbed.append((time.time(), await disturbing))
        while running:
            await supervised(at, tally)
    return tally.report(time.monotonic() - began)


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "memory"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 120.0
    with tempfile.TemporaryDirectory(prefix="saros-soak-") as name:
        folder = Path(name)
        library = build(folder)
        if library is None:
            print("no C compiler: clocks are left alone")
        elif kind == "memory" and Clock.inherited() is None:
            clock = Clock(library, folder / "clock")
            return subprocess.call([sys.executable, *sys.argv], env={**os.environ, **clock.environment})
        seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
        print(f"{kind}, SEED={seed}", flush=True)
        path = lua_app(
            folder / "app",
            workflows={"order": ORDER, "child": CHILD, "nap": NAP},
            functions={"square": "return input * input"},
        )
        return asyncio.run(soak(place(kind, folder, library), seconds, path, seed))


if __name__ == "__main__":
    sys.exit(main())
