"""Worker processes to kill, a network to disturb, and an app whose results prove that nothing was lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listeners import listening
from workers import Worker

import saros
from saros_testing import lua_app

STEPS = """
import asyncio, os, pathlib, signal, time

async def square(n):
    await asyncio.sleep(0.005)
    return n * n

def block(seconds):
    runs = pathlib.Path(__file__).with_name("block.runs")
    with runs.open("a") as file:
        file.write("x")
    time.sleep(seconds)
    return "blocked"

async def block_loop(seconds):
    return block(seconds)

async def deadly(path):
    if not os.path.exists(path):
        os.kill(os.getpid(), signal.SIGSEGV)
    return "alive"

async def traced(n, seconds=0.0):
    trace = pathlib.Path(__file__).with_name("trace")
    with trace.open("a") as file:
        file.write(f"{os.getpid()} {n}\\n")
    await asyncio.sleep(seconds)
    return n

async def gate(n):
    here = pathlib.Path(__file__)
    with here.with_name("trace").open("a") as file:
        file.write(f"{os.getpid()} {n}\\n")
    while not here.with_name("open").exists():
        await asyncio.sleep(0.01)
    return n
"""

WORKFLOWS = {
    # sums n squares one after another: a lost or repeated step changes the sum
    "steps": """
        local sum = 0
        for i = 1, input do
          local value, err = funcs.call("app:square", i)
          if err then return nil, err end
          sum = sum + value
        end
        return sum
    """,
    "mixed": """
        local workflow = require("workflow")
        local a = funcs.call("app:square", input)
        time.sleep("20ms")
        local b, err = workflow.call("app:steps", 3)
        if err then return nil, err end
        local f, g = funcs.async("app:square", 2), funcs.async("app:square", 3)
        local x, y = f:response():receive(), g:response():receive()
        return a + b + x:data() + y:data()
    """,
    "slow": 'return funcs.call("app:traced", input.n, input.seconds)',
    # three local calls, of which the last takes a while
    "near": """
        local near = funcs.new():with_options({["activity.local"] = true})
        local sum = 0
        for i = 1, 3 do
          local value, err = near:call("app:traced", input.n + i, i == 3 and input.seconds or 0)
          if err then return nil, err end
          sum = sum + value
        end
        return sum
    """,
    "waits": 'return funcs.call("app:gate", input)',
    "nap": 'time.sleep(input) return "slept"',
    "blocks": 'return funcs.call("app:block_loop", input)',
    "poisoned": 'return funcs.call("app:deadly", input)',
    # counts its messages, and continues as new after every 5
    "counts": """
        local workflow = require("workflow")
        local total = input.total
        local inbox = process.listen("add")
        for _ = 1, 5 do
          local value = inbox:receive()
          if value == "end" then return total end
          total = total + value
        end
        return workflow.continue_as_new({total = total})
    """,
}


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    functions = {
        name: f"steps:{name}" for name in ("square", "block", "block_loop", "deadly", "traced", "gate")
    }
    return lua_app(tmp_path / "app", workflows=WORKFLOWS, python=functions, files={"steps.py": STEPS})


@pytest.fixture
def worker(app_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts worker processes; `worker(url, **env)`."""
    started: list[Worker] = []

    def start(url: str, **env: str) -> Worker:
        started.append(Worker(app_path, url, env))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def trace(app_path: Path) -> Callable[[], list[tuple[int, int]]]:
    """Returns process and number of each call of `app:traced` and `app:gate`."""

    def read() -> list[tuple[int, int]]:
        file = app_path / "trace"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    return read


async def waiting(store: Any, stream: str) -> int:
    """Return the number of entries of a stream that nobody has leased."""
    command = store._client.command
    groups = await command("XINFO", "GROUPS", stream) if await command("EXISTS", stream) else []
    leased = sum(int(dict(zip(group[::2], group[1::2], strict=True))[b"pending"]) for group in groups)
    return int(await command("XLEN", stream)) - leased


async def abandon(app_path: Path, url: str) -> None:
    """Lease all waiting tasks and disappear without giving them back."""
    async with saros.open(app_path, backend=url, workers=False) as app:
        backend: Any = app.backend
        store = backend.store
        keys = store._partitions.keys
        for take, stream in (
            (store.take, keys.ready(0, "main")),
            (store.take_activities, keys.activities(0, "main")),
        ):
            while await waiting(store, stream):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await take(["main"], 64)
        await store._readers._renewer.stop()
        store._readers._renewer = None  # otherwise `close` would give the leases back


@pytest.fixture
def abandoned(app_path: Path) -> Callable[[str], Any]:
    """Leases all waiting tasks to a lost worker: `await abandoned(url)`."""
    return lambda url: abandon(app_path, url)


@pytest.fixture
def workflows_only(app_path: Path) -> Callable[[str], Any]:
    """A worker in this process that runs no activities: `async with workflows_only(url)`."""

    async def nothing(*args: Any) -> Any:
        await asyncio.Event().wait()

    @contextlib.asynccontextmanager
    async def start(url: str) -> AsyncIterator[None]:
        async with saros.open(app_path, backend=url, workers=False) as app:
            backend: Any = app.backend
            backend.store.take_activities = nothing
            app.start_workers()
            yield

    return start


@pytest.fixture
def client(app_path: Path) -> Callable[[str], Any]:
    """Opens the app without workers."""

    def connect(url: str) -> Any:
        return saros.open(app_path, backend=url, workers=False)

    return connect


@pytest.fixture
def check_histories() -> Callable[..., Any]:
    """Asserts that each command of each execution was settled at most once, and closed exactly once."""

    async def check(app: Any, ids: list[str]) -> None:
        for id in ids:
            page = await app.backend.history(id)
            settled = Counter(record.ref for record in page.records if record.op == "done")
            assert all(count == 1 for count in settled.values()), (id, settled)
            refs = {record.ref for record in page.records if record.op in ("call", "timer", "spawn")}
            assert set(settled) == refs, id
            closing = [record.op for record in page.records if record.op in ("complete", "fail", "continue")]
            assert len(closing) == 1, (id, closing)

    return check


class Proxy:
    """A network path to the server that can lose replies or be cut."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.loss = 0.0  # the share of replies that are lost; a lost reply also closes its connection
        self.torn = False  # whether half of a lost reply still arrives
        self.cut = False
        self.lost = 0
        self._random = random.Random(5)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            return
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, upstream_writer}
        try:
            if self.cut:  # the path was cut while we connected
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, upstream_writer, writer, replies=False))
                group.create_task(self._pump(upstream_reader, writer, upstream_writer, replies=True))
        except* (ConnectionError, OSError):
            pass
        finally:
            for each in (writer, upstream_writer):
                self._writers.discard(each)
                each.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        *,
        replies: bool,
    ) -> None:
        while data := await source.read(65536):
            if replies and self._random.random() < self.loss:
                self.lost += 1
                if self.torn:
                    target.write(data[: len(data) // 2])
                    await target.drain()
                break
            target.write(data)
            await target.drain()
        target.close()
        other.close()

    def cut_all(self) -> None:
        self.cut = True
        for each in self._writers:
            each.close()


@pytest.fixture
def proxied() -> Callable[[int], Any]:
    """`async with proxied(port) as proxy`: a proxy in front of a local server."""

    @contextlib.asynccontextmanager
    async def start(port: int) -> AsyncIterator[Proxy]:
        proxy = Proxy(port)
        async with listening(proxy.serve) as proxy.port:
            yield proxy

    return start
