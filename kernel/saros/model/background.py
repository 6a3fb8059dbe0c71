"""Background work. Each piece has an owner that is told of its failure and ends it.

asyncio delivers a cancellation only once, and libraries can lose it: `wait_for` of Python 3.11 does if the result
arrives at the same moment. A caller that waits for the end would then wait for ever. So background work runs in a
cancel scope of anyio, which cancels at every further ``await`` until the work has ended, and every wait for an end
has a limit. Work that must finish despite a cancellation runs in a shielded scope with a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from anyio import CancelScope, create_task_group, move_on_after

from .errors import INTERNAL, UNAVAILABLE, Error

log = logging.getLogger("saros")

A = TypeVar("A")
T = TypeVar("T")

LIMIT_S = 5.0
"""How long work may take to end once it is cancelled."""
FINISH_S = 10.0
"""How long a stopping worker may finish what it has begun; an unavailable store must not delay it longer."""
PAUSE_S = 0.1
PAUSE_MAX_S = 5.0
PATIENCE_S = 30.0


class Job(Generic[T]):
    """A coroutine in its own task.

    :param name: a description of the work, for the log.
    """

    def __init__(self, work: Coroutine[Any, Any, T], name: str) -> None:
        self.name = name
        self._scope: CancelScope | None = None  # made in the task: not every anyio can make one in a callback
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
        """The task, to wait for; to end it, use `cancel` and `end`."""
        return self._task

    def done(self) -> bool:
        return self._task.done()

    def cancelled(self) -> bool:
        """True once the job has been told to end; what it raises then is not a failure."""
        return self._cancelled or self._task.cancelling() > 0

    def failure(self) -> BaseException | None:
        """The exception with which the job failed, if it has."""
        done = self._task.done() and not self._task.cancelled()
        return self._task.exception() if done else None

    async def wait(self) -> T:
        """Wait for the job and return its result. Cancelling the caller does not cancel the job.

        :raises Exception: the job's failure.
        """
        if not self._task.done():
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def end(task: asyncio.Task[T]) -> None:
                if not ended.done():
                    ended.set_result(None)

            self._task.add_done_callback(end)
            await ended  # `asyncio.wait` does the same, but takes three times as long
        return self._task.result()

    def cancel(self) -> None:
        """Cancel the job, at every ``await`` until it has ended."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def end(self, limit_s: float = LIMIT_S) -> None:
        """Cancel the job and wait for its end, even if the caller is cancelled. Its failure is not raised.

        After `limit_s` seconds, log where the job hangs, and stop waiting.
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
        """Wait for the job's end, however often the caller is cancelled; after `limit_s` seconds, `end` it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        with CancelScope(shield=True):
            while not self._task.done() and (left := until - loop.time()) > 0:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({self._task}, timeout=left)
            if not self._task.done():
                await self.end()


class Jobs:
    """The jobs of one owner. Failures are logged, because nobody waits for these jobs."""

    def __init__(self) -> None:
        self._jobs: set[Job[Any]] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job[Any]]:
        return iter(tuple(self._jobs))

    def start(self, work: Coroutine[Any, Any, T], name: str) -> Job[T]:
        """Run a coroutine until it ends or `end` is called."""
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
        """Wait until all jobs that run now have ended, at most `limit_s` seconds."""
        if self._jobs:
            await asyncio.wait({job.task for job in self._jobs}, timeout=limit_s)

    async def end(self, limit_s: float = LIMIT_S) -> None:
        """Cancel all jobs and wait for their ends, within `limit_s` seconds (see `Job.end`)."""
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
    """Run several awaitables concurrently; return when all have ended.

    :raises Exception: the first failure.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def each(do: Callable[[A], Awaitable[T]], items: Iterable[A], at_once: int) -> list[T]:
    """Do something for each item, `at_once` of them concurrently; the results are in the order of the items.

    :raises Exception: the first failure, once all that had begun have ended.
    """
    free = asyncio.Semaphore(at_once)
    failed = False

    async def one(item: A) -> T | None:
        nonlocal failed
        async with free:
            if failed:
                return None  # nobody gets the results
            try:
                return await do(item)
            except BaseException:
                failed = True
                raise

    return cast("list[T]", await together(*map(one, items)))


async def shielded(work: Coroutine[Any, Any, T], name: str, limit_s: float = FINISH_S) -> T:
    """Finish work once it has begun: a cancellation takes effect afterwards, or after `limit_s` seconds.

    Work that was taken from a store and dropped half-way would wait for the end of its lease, and in memory
    there is no lease.

    :raises Exception: the failure of the work.
    """
    job = Job(work, name)
    try:
        return await job.wait()
    except asyncio.CancelledError:
        await job.finish(limit_s)
        failure = job.failure()
        if failure is not None:
            log.warning("%s failed while it was stopping: %s", name, failure)
        raise


async def kept_running(loop: Callable[[], Awaitable[None]], log: logging.Logger) -> None:
    """Run a loop until it returns; after a failure, run it again, with growing pauses.

    :param log: where failures are told.
    :raises Error: when another attempt cannot help, such as PERMISSION_DENIED.
    """
    pause = PAUSE_S
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await loop()
            return
        except Error as error:
            if error.kind not in (UNAVAILABLE, INTERNAL):
                raise
            failure: Exception = error
        except Exception as raised:  # one item failed; the others must still be served
            log.exception("a worker failed")
            failure = raised
        if asyncio.get_running_loop().time() - began > PAUSE_MAX_S:  # it worked for a while
            pause = PAUSE_S
        log.warning("%s; trying again in %.1f s", failure, pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX_S)


async def side_by_side(loops: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run loops concurrently; when one fails, cancel the others.

    :raises Exception: the first failure, as it is.
    """
    try:
        async with create_task_group() as group:
            for loop in loops:
                group.start_soon(loop)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def patiently(work: Callable[[], Awaitable[Any]], what: str) -> None:
    """Retry work while the store is away, for `PATIENCE_S` seconds, because a stopping worker waits for it.

    :param what: a description of the work, for the log.
    :raises Error: any other failure, or the last one.
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
    """Where a task waits: file and line of its innermost coroutine outside asyncio."""
    place, inner = "its end", cast(Any, task.get_coro())
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        if not frame.f_globals.get("__name__", "").startswith("asyncio."):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        inner = inner.cr_await
    return place
