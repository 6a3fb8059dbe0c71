"""Background work ends when it is told to, even if a library swallows the cancellation."""

from __future__ import annotations

import ast
import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from saros.model.background import Job, Jobs, shielded

from .conftest import Runner

ROOT = Path(__file__).parents[2]
PACKAGES = ("kernel", "lua", "backends", "plugins")
EDGE = {"create_task", "ensure_future", "wait_for", "TaskGroup"}
ALLOWED = {
    "kernel/saros/model/background.py": "owns all background work",
    "kernel/saros/processes/attempts.py": "runs an app's own coroutines, which expect a single cancellation",
}


async def deaf(times: int) -> None:
    """Swallow this many cancellations, as `wait_for` can."""
    while times:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            times -= 1
    await asyncio.sleep(3600)


def test_a_job_that_swallows_cancellations_ends(run: Runner) -> None:
    async def check() -> None:
        job = Job(deaf(3), "deaf")
        await asyncio.sleep(0)
        await job.end()
        assert job.done()

    run(check())


def test_a_job_starts_and_is_cancelled_in_a_callback_of_the_loop(run: Runner) -> None:
    """Timers call such callbacks, outside any task."""

    async def check() -> None:
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[Job[None]] = loop.create_future()
        loop.call_soon(lambda: begun.set_result(Job(deaf(1), "deaf")))
        job = await begun
        await asyncio.sleep(0)
        loop.call_soon(job.cancel)
        await asyncio.wait({job.task}, timeout=20)
        assert job.done()

    run(check())


def test_a_job_that_is_cancelled_before_it_begins_does_nothing(run: Runner) -> None:
    async def check() -> None:
        begun = []

        async def work() -> None:
            begun.append(True)

        for cancelled_by_asyncio in (False, True):
            job = Job(work(), "work")
            (job.task if cancelled_by_asyncio else job).cancel()
            await job.end()
            assert job.done()
        assert not begun

    run(check())


def test_a_job_that_does_not_end_is_left_after_its_limit(
    run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        released = asyncio.Event()

        async def stubborn() -> None:
            with anyio.CancelScope(shield=True):
                await released.wait()

        jobs = Jobs()
        jobs.start(stubborn(), "the stubborn job")
        await asyncio.sleep(0)
        began = time.monotonic()
        await jobs.end(0.2)
        assert time.monotonic() - began < 5
        assert len(jobs) == 1
        released.set()
        await jobs.wait()

    run(check())
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "the stubborn job did not end" in record.getMessage()
    assert __file__ in record.getMessage()


def test_shielded_work_finishes_despite_cancellation(run: Runner) -> None:
    async def check() -> None:
        done: list[int] = []

        async def work() -> None:
            for number in range(3):
                await asyncio.sleep(0.01)
                done.append(number)

        for by_asyncio in (False, True):
            done.clear()
            job = Job(shielded(work(), "work", 20), "the worker")
            await asyncio.sleep(0.005)
            for _ in range(2):
                (job.task if by_asyncio else job).cancel()
                await asyncio.sleep(0)
            await job.end()
            assert done == [0, 1, 2]
            assert job.task.cancelled()

    run(check())


def test_shielded_work_that_hangs_is_given_up(run: Runner) -> None:
    async def check() -> None:
        job = Job(shielded(deaf(1), "work", 0.1), "the worker")
        await asyncio.sleep(0)
        await job.end(20)
        assert job.done()

    run(check())


def test_a_failure_that_nobody_waits_for_is_logged(run: Runner, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async def work() -> None:
            raise RuntimeError("broken")

        jobs = Jobs()
        await asyncio.wait({jobs.start(work(), "the work").task})
        await jobs.end()

    run(check())
    assert "the work failed: broken" in caplog.text


def _edge_triggered(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in EDGE:
            anyio_group = node.attr == "TaskGroup" and getattr(node.value, "id", "") == "anyio"
            if not anyio_group:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            yield from [node.lineno for alias in node.names if alias.name in EDGE]


def test_only_one_module_starts_tasks() -> None:
    """All others start jobs, which are certain to end."""
    found = [
        f"{name}:{line}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if (name := path.relative_to(ROOT).as_posix()) not in ALLOWED
        for line in _edge_triggered(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "use saros.model.background instead of asyncio's tasks"
