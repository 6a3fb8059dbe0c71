"""Processes of a benchmark. Each answers a line of JSON with another one, and reports the CPU time that it used."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Process:
    """A process that runs `serve`."""

    def __init__(self, *command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._command = " ".join(command)
        self._answer()  # it is ready

    def tell(self, **question: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    async def answer(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._answer)

    async def ask(self, **question: Any) -> dict[str, Any]:
        self.tell(**question)
        return await self.answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._command} has ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


async def serve(answer: Answer) -> None:
    """Answer each request with the result of `answer` and ``cpu``: user and system CPU seconds of this process."""
    print(json.dumps({}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        before = cpu_seconds()
        found = await answer(json.loads(line))
        print(json.dumps({**found, "cpu": cpu_seconds() - before, "total_cpu": cpu_seconds()}), flush=True)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def side_by_side(work: Callable[[int], Awaitable[None]], count: int, concurrency: int) -> None:
    """Run `work` `count` times, `concurrency` at a time."""
    numbers: Iterator[int] = iter(range(count))

    async def one() -> None:
        for number in numbers:
            await work(number)

    await asyncio.gather(*[one() for _ in range(min(count, concurrency))])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
