"""A file of each test's own, worker processes to kill, and an app whose results prove that nothing was lost."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from workers import Worker

import saros
from saros_testing import lua_app

STEPS = """
import asyncio

async def square(n):
    await asyncio.sleep(0.005)
    return n * n
"""

WORKFLOWS = {
    # n squares one after another: a lost or doubled step changes the sum
    "steps": """
        local sum = 0
        for i = 1, input do
          local value, err = funcs.call("app:square", i)
          if err then return nil, err end
          sum = sum + value
        end
        return sum
    """,
    # with timers, children, calls side by side
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
    # gives what it was sent, in order
    "letters": """
        local inbox = process.listen("letter")
        local found = {}
        for i = 1, input do found[i] = inbox:receive() end
        return found
    """,
    "nap": 'time.sleep(input) return "slept"',
}


@pytest.fixture
def app_path(tmp_path: Path) -> Path:
    return lua_app(
        tmp_path / "app", workflows=WORKFLOWS, python={"square": "steps:square"}, files={"steps.py": STEPS}
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}?lease=1s&attempts=1000"


@pytest.fixture
def worker(app_path: Path, url: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts worker processes; `worker(**env)`, on another URL by `at`."""
    started: list[Worker] = []
    numbers = itertools.count()

    def start(log: bool = False, at: str = "", **env: str) -> Worker:
        started.append(
            Worker(app_path, at or url, env, tmp_path / f"worker{next(numbers)}.log" if log else None)
        )
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def client(app_path: Path, url: str) -> Callable[[], Any]:
    """Opens the app without workers."""
    return lambda: saros.open(app_path, backend=url, workers=False)


@pytest.fixture
def check_histories() -> Callable[..., Any]:
    """Asserts that each command of each execution was settled exactly once, and each closed exactly once."""

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


@pytest.fixture
def run() -> Callable[..., None]:
    """``run(coroutine)`` runs it on a fresh event loop, for at most two minutes."""

    def runner(work: Any) -> None:
        async def limited() -> None:
            async with asyncio.timeout(120):
                await work

        asyncio.run(limited())

    return runner
