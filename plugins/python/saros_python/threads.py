"""Threads for code that blocks.

They are daemon threads, so code that never returns delays neither the process's exit nor other code. (The
interpreter waits for threads of `concurrent.futures` and anyio when it ends.)
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

IDLE_S = 30.0


class _Pool:
    """Starts a thread whenever none is idle; the caller limits their number."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0  # waiting threads that no job has been submitted for

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            idle = self._idle > 0
            self._idle -= idle
        self._jobs.put(job)
        if not idle:
            threading.Thread(target=self._work, name="saros-function", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        return
                continue  # a job has been submitted
            job()
            del job  # and what it refers to
            with self._lock:
                self._idle += 1


_pool = _Pool()


async def in_thread(call: Callable[[], T]) -> T:
    """Run a callable in a thread. After a cancellation the thread goes on, and its result is discarded.

    :raises BaseException: the exception that the callable raised, including SystemExit and the like.
    """
    loop = asyncio.get_running_loop()
    end: asyncio.Future[tuple[bool, Any]] = loop.create_future()

    def tell(ok: bool, value: Any) -> None:
        if not end.done():
            end.set_result((ok, value))

    def work() -> None:
        result: tuple[bool, Any]
        try:
            result = True, call()
        except BaseException as raised:  # raised in the caller
            result = False, raised
        with contextlib.suppress(RuntimeError):  # the loop has closed, so nobody waits any more
            loop.call_soon_threadsafe(tell, *result)

    _pool.submit(work)
    ok, value = await end
    if ok:
        found: T = value
        return found
    raise value
