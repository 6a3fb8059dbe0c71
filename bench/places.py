"""Where a soak runs (see soak.py), and everything that it disturbs there."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from clocks import Clock
from listeners import listening
from network import Network
from orders import STEP_S, Tally, patiently
from servers import PostgresServer, RedisServer, Server, TemporalServer
from workers import Worker

import saros

WORKERS = 3
SHOW = """
import faulthandler
faulthandler.register(signal.SIGUSR2, all_threads=True)
signal.signal(signal.SIGUSR1, lambda *_: [task.print_stack() for task in asyncio.all_tasks()])
"""
"""Has a worker print what its threads wait for, on SIGUSR2, and its tasks, on SIGUSR1, which it may not hear."""
END_S = 60
"""How long a worker may take to end."""
Disturb = Callable[[random.Random], Awaitable[str]]


def setter(name: str, clocks: list[Clock]) -> Disturb:
    """Return a disturbance that sets one of these clocks to another time."""
    shown = [0] * len(clocks)

    async def set_clock(dice: random.Random) -> str:
        at = dice.randrange(len(clocks))
        shown[at] = dice.choice([step for step in (-STEP_S, 0, STEP_S) if step != shown[at]])
        clocks[at].set(shown[at])
        return f"{name} set to {shown[at] / 3_600:+.0f} h"

    return set_clock


class Place(abc.ABC):
    """:ivar disturbances: what happens here; each must not matter."""

    disturbances: list[Disturb]

    async def disturb(self, dice: random.Random) -> str:
        """Cause one disturbance; return its name."""
        return await dice.choice(self.disturbances)(dice)

    @abc.abstractmethod
    def running(self, path: Path) -> contextlib.AbstractAsyncContextManager[Any]:
        """Have workers run an app; yield its client."""

    def supervise(self) -> list[str]:
        """Restart workers that ended by themselves; return what happened."""
        return []


class Memory(Place):
    """This process. Workers stop and start within it."""

    def __init__(self) -> None:
        clock = Clock.inherited()
        self.disturbances = [self._stop, *([setter("clock", [clock])] if clock else [])]

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        async with saros.open(path, backend="memory://") as app:
            self._app = app
            yield app

    async def _stop(self, dice: random.Random) -> str:
        await self._app.stop_workers()
        await asyncio.sleep(dice.random() / 10)
        self._app.start_workers()
        return "workers stopped"


class Workers(Place):
    """Worker processes that share a database.

    :param library: the library with which clocks are set (see clocks.py), if there is one.
    """

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.folder = folder
        self.url = ""
        self._workers: list[Worker] = []
        self._ending: int | None = None  # the number of the worker that a disturbance ends
        self._clocks = [Clock(library, folder / f"clock{n}") for n in range(WORKERS)] if library else []
        self.disturbances = [self._kill, self._terminate, self._freeze] * 2
        if self._clocks:
            self.disturbances += [setter("clock of a worker", self._clocks)]

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        self._path = path
        context = saros.open(path, backend=self.url, workers=False)
        async with contextlib.AsyncExitStack() as stack:
            app = await patiently(Tally(), lambda: stack.enter_async_context(context))
            self._workers = [self._work(number) for number in range(WORKERS)]
            try:
                yield app
            finally:
                for each in self._workers:
                    each.send(signal.SIGCONT)
                    each.end()

    def supervise(self) -> list[str]:
        found = []
        for number, each in enumerate(self._workers):
            code = each.process.poll()
            if code is not None and number != self._ending:
                each.end()
                self._workers[number] = self._work(number)
                # Where no server answers, a worker ends with 1.
                found.append(f"worker ended by itself ({code})")
        return found

    def _work(self, number: int) -> Worker:
        env = self._clocks[number].environment if self._clocks else {}
        return Worker(self._path, self.url, {**env, "FIRST": SHOW}, self._log(number))

    def _log(self, number: int) -> Path:
        return self.folder / f"worker{number}.log"

    async def _kill(self, dice: random.Random) -> str:
        return await self._end(dice, signal.SIGKILL)

    async def _terminate(self, dice: random.Random) -> str:
        return await self._end(dice, signal.SIGTERM)

    async def _end(self, dice: random.Random, number: signal.Signals) -> str:
        at = self._ending = dice.randrange(WORKERS)
        try:
            code = await asyncio.to_thread(self._workers[at].end, number, END_S)
        except subprocess.TimeoutExpired:
            for show in (signal.SIGUSR2, signal.SIGUSR1):
                self._workers[at].send(show)
                await asyncio.sleep(2)
            print(self._log(at).read_text(errors="replace")[-30_000:])
            raise AssertionError(f"a worker did not react to {number.name} within a minute") from None
        self._workers[at], self._ending = self._work(at), None
        return f"worker {number.name}" + (f" ({code})" if code not in (0, -number) else "")

    async def _freeze(self, dice: random.Random) -> str:
        worker = dice.choice(self._workers)
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(dice.uniform(0.5, 4))
        worker.send(signal.SIGCONT)
        return "worker SIGSTOP"


class Sqlite(Workers):
    """A file of SQLite. There is no server, but a lock that anybody may hold."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        super().__init__(folder, library)
        self._file = folder / "shop.db"
        self.url = f"sqlite:///{self._file}?lease=2s&attempts=1000000"
        self.disturbances += [self._lock]

    async def _lock(self, dice: random.Random) -> str:
        raw = sqlite3.connect(self._file, timeout=60, isolation_level=None, check_same_thread=False)
        with contextlib.closing(raw):
            await asyncio.to_thread(raw.execute, "BEGIN IMMEDIATE")
            await asyncio.sleep(dice.uniform(0.5, 4))
            raw.execute("ROLLBACK")
        return "file locked"


class Served(Workers):
    """Worker processes and a server, with a network between them."""

    ends: tuple[signal.Signals, ...] = (signal.SIGKILL, signal.SIGTERM)
    """The signals by which the server ends."""

    def __init__(self, folder: Path, library: Path | None, server: Server, **options: object) -> None:
        super().__init__(folder, library)
        self.server = server
        self._options = options
        self.disturbances += [self._restart, self._pause]

    @contextlib.asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[Any]:
        network = Network(self.server.port)
        self.disturbances += [network.cut, network.silence]
        try:
            self.server.start()
            async with listening(network.serve) as port:
                self.url = self.server.url(**self._options).replace(f":{self.server.port}", f":{port}", 1)
                async with super().running(path) as app:
                    yield app
        finally:
            self.stop()

    def stop(self) -> None:
        self.server.kill()

    def set_clock(self, library: Path) -> None:
        """Have the server's clock set, too."""
        clock = Clock(library, self.folder / "clock")
        self.server.environment = clock.environment
        self.disturbances += [setter("clock of the server", [clock])]

    async def _restart(self, dice: random.Random) -> str:
        number = dice.choice(self.ends)
        await asyncio.to_thread(self.server.kill, number)
        await asyncio.sleep(dice.random() * 2)
        await asyncio.to_thread(self.server.start)
        return f"server {number.name}"

    async def _pause(self, dice: random.Random) -> str:
        stopped = list(self.processes())
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(dice.uniform(0.5, 4))
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return "server SIGSTOP"

    def processes(self) -> Iterator[int]:
        yield self.server.process.pid


class Redis(Served):
    def __init__(self, folder: Path, library: Path | None) -> None:
        home = folder / "server"
        home.mkdir()
        # Writes count only once they are on disk, because a killed server must not forget them.
        super().__init__(folder, library, RedisServer(home, "--appendfsync", "always"), lease="2s")
        if library:
            self.set_clock(library)


class Postgres(Served):
    ends = (signal.SIGQUIT, signal.SIGINT)  # it crashes, or it ends without waiting for its clients

    def __init__(self, folder: Path, library: Path | None) -> None:
        super().__init__(folder, library, PostgresServer(), lease="2s", attempts=1_000_000)
        if library:
            folder.chmod(0o711)  # it may run as another user, who reads the library and the clock
            self.set_clock(library)

    def processes(self) -> Iterator[int]:
        pid = self.server.process.pid
        yield pid
        yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def stop(self) -> None:
        assert isinstance(self.server, PostgresServer)
        self.server.stop()


class Temporal(Served):
    def __init__(self, folder: Path, library: Path | None) -> None:
        home = folder / "server"
        home.mkdir()
        super().__init__(folder, library, TemporalServer(home))


PLACES: dict[str, Callable[[Path, Path | None], Place]] = {
    "memory": lambda _folder, _library: Memory(),
    "sqlite": Sqlite,
    "postgresql": Postgres,
    "redis": Redis,
    "temporal": Temporal,
}
