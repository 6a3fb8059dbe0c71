"""Work that runs beside its caller. Each piece has an owner, who hears of its failure and ends it.

asyncio delivers a cancellation once, and libraries lose it: `wait_for` of Python 3.11 does when the result comes in
the same moment. Whoever then waits for the end waits for ever. So background work runs in a cancel scope of anyio,
which cancels at every further ``await`` until the work has ended, and every wait for an end has a limit. What must
finish although it is cancelled runs in a shielded scope with a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from anyio import CancelScope, move_on_after

from .errors import UNAVAILABLE, Error

log = logging.getLogger("saros")

T = TypeVar("T")

LIMIT_S = 5.0
"""How long work may take to end once it is cancelled."""
FINISH_S = 10.0
"""How long a worker that is to stop finishes what it has begun: a store that is away must not hold it longer."""
PAUSE_S = 0.1
PAUSE_MAX_S = 5.0
PATIENCE_S = 30.0


class Job(Generic[T]):
    """A coroutine in a task of its own.

    :param name: what it is, for the log.
    """

    def __init__(self, work: Coroutine[Any, Any, T], name: str) -> None:
        self.name = name
        self._scope: CancelScope | None = None  # made in its task: not every anyio makes one in a callback
        self._cancelled = False
        self._task = asyncio.get_running_loop().create_task(self._run(work), name=name)
        self._task.add_done_callback(lambda task: work.close())  # if it was cancelled before it began

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._cancelled:
            with CancelScope() as self._scope:
                return await work
        raise asyncio.CancelledError

    @property
    def task(self) -> asyncio.Task[T]:
        """To wait for; to end it, use `cancel` and `end`."""
        return self._task

    def done(self) -> bool:
        return self._task.done()

    def cancelled(self) -> bool:
        """Whether it is to end, and what it raises is no failure."""
        return self._cancelled or self._task.cancelling() > 0

    def failure(self) -> BaseException | None:
        """What it failed with, if it has ended."""
        done = self._task.done() and not self._task.cancelled()
        return self._task.exception() if done else None

    async def wait(self) -> T:
        """Wait for its end and give its result. A caller that is cancelled does not cancel it.

        :raises Exception: what it failed with.
        """
        await asyncio.wait({self._task})
        return self._task.result()

    def cancel(self) -> None:
        """Cancel it, until it has ended."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def end(self, limit_s: float = LIMIT_S) -> None:
        """Cancel it and wait for its end, also when the caller is cancelled; its failure is not raised.

        After `limit_s` seconds the log says where it hangs, and it is left alone.
        """
        self.cancel()
        if self._task is asyncio.current_task():
            return
        with move_on_after(limit_s, shield=True):
            await asyncio.wait({self._task})
        if self._task.done():
            failure = self.failure()
            if failure is not None:
                log.debug("%s failed: %s", self.name, failure)
        else:
            log.error("%s did not end within %.1f s; it is at %s", self.name, limit_s, _place(self._task))

    async def finish(self, limit_s: float) -> None:
        """Wait for its end although the caller is cancelled, once or often; after `limit_s` seconds, `end` it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        with CancelScope(shield=True):
            while not self._task.done() and (left := until - loop.time()) > 0:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({self._task}, timeout=left)
            if not self._task.done():
                await self.end()


class Jobs:
    """The jobs of one owner. One that fails is told in the log, for nobody waits for it."""

    def __init__(self) -> None:
        self._jobs: set[Job[Any]] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job[Any]]:
        return iter(tuple(self._jobs))

    def start(self, work: Coroutine[Any, Any, T], name: str) -> Job[T]:
        """Run a coroutine until it has ended, or `end` is called."""
        job = Job(work, name)
        self._jobs.add(job)
        job.task.add_done_callback(lambda task: self._ended(job))
        return job

    def _ended(self, job: Job[Any]) -> None:
        self._jobs.discard(job)
        failure = job.failure()
        if failure is not None:
            unexpected = None if isinstance(failure, Error) else failure
            log.warning("%s failed: %s", job.name, failure, exc_info=unexpected)

    async def wait(self, limit_s: float | None = None) -> None:
        """Wait until all that run now have ended, at most `limit_s` seconds."""
        if self._jobs:
            await asyncio.wait({job.task for job in self._jobs}, timeout=limit_s)

    async def end(self, limit_s: float = LIMIT_S) -> None:
        """Cancel all and wait for their ends, within `limit_s` seconds (see `Job.end`)."""
        await end_all(self, limit_s, at_once=True)


async def end_all(jobs: Iterable[Job[Any]], limit_s: float, *, at_once: bool = False) -> None:
    """End jobs one after another, or all at once, within `limit_s` seconds (see `Job.end`)."""
    jobs = list(jobs)
    loop = asyncio.get_running_loop()
    until = loop.time() + limit_s
    if at_once:
        for job in jobs:
            job.cancel()
    for job in jobs:
        await job.end(max(0.1, until - loop.time()))


async def together(*work: Awaitable[T]) -> list[T]:
    """Do several things side by side; returns when all have ended.

    :raises Exception: the first failure.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def shielded(work: Coroutine[Any, Any, T], name: str, limit_s: float = FINISH_S) -> T:
    """Do something to its end, once it has begun: a cancellation counts after it, or after `limit_s` seconds.

    What was taken from a store is in nobody's hands when it is dropped half-way: it would wait for the end of
    its lease, and in memory there is none.

    :raises Exception: what the work failed with.
    """
    job = Job(work, name)
    try:
        return await job.wait()
    except asyncio.CancelledError:
        await job.finish(limit_s)
        failure = job.failure()
        if failure is not None:
            log.warning("%s failed while it was to stop: %s", name, failure)
        raise


async def patiently(work: Callable[[], Awaitable[Any]], what: str) -> None:
    """Do something again while the store is away, for `PATIENCE_S` seconds: a worker that is to stop waits for it.

    :param what: what it is, for the log.
    :raises Error: what it failed with otherwise, or in the end.
    """
    pause, patience = PAUSE_S, asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            await work()
            return
        except Error as error:
            if error.kind != UNAVAILABLE or asyncio.get_running_loop().time() > patience:
                raise
            log.warning("%s; %s again in %.1f s", error, what, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX_S)


def _place(task: asyncio.Task[Any]) -> str:
    """Where a task waits: file and line of its innermost coroutine that is none of asyncio's."""
    place, inner = "its end", cast(Any, task.get_coro())
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        if not frame.f_globals.get("__name__", "").startswith("asyncio."):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        inner = inner.cr_await
    return place
