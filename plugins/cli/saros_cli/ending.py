"""The end of a command's event loop and process, which no code of an app may hold up.

Python waits without a limit for three things that an app may leave behind: tasks that ignore their cancellation,
calls of `asyncio.to_thread`, and threads that are not daemons. By then all that counts is stored: an activity
that has not ended is tried again elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

log = logging.getLogger("saros.run")

REST_S = 3.0
"""How long what an app leaves behind may take to end."""
_THREADS = "saros-to-thread"
_left: list[str] = []  # what holds up the end of this process, as far as it is known


@contextmanager
def bounded(runner: asyncio.Runner) -> Iterator[asyncio.Runner]:
    """Close a runner at the end, unless something is left that would hold it up."""
    runner.get_loop().set_default_executor(executor := ThreadPoolExecutor(thread_name_prefix=_THREADS))
    try:
        yield runner
    finally:
        until = time.monotonic() + REST_S
        tasks = _end_tasks(runner.get_loop())
        executor.shutdown(wait=False, cancel_futures=True)
        threads = _end_threads(until)
        if tasks or threads:
            _left.extend([f"tasks that ignore their cancellation: {tasks}"] if tasks else [])
            _left.extend([f"threads: {threads}"] if threads else [])
            log.warning("the app leaves behind what ends with this process only: %s", ", ".join(_left))
        else:
            runner.close()


def _end_tasks(loop: asyncio.AbstractEventLoop) -> int:
    """Cancel all tasks, and return how many do not end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if not tasks:
        return 0
    _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=REST_S))
    return len(left)


def _end_threads(until: float) -> int:
    """Wait for the threads of the loop's executor; return how many do not end."""
    threads = [each for each in threading.enumerate() if each.name.startswith(_THREADS)]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return sum(thread.is_alive() for thread in threads)


def limit_exit(status: int) -> None:
    """Have this process end with a status soon, whichever threads are left."""
    if any(not each.daemon and each is not threading.current_thread() for each in threading.enumerate()):
        timer = threading.Timer(0.0 if _left else REST_S, _exit, [status])
        timer.daemon = True
        timer.start()


def _exit(status: int) -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):  # what threads have written since the command's own flush
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(status)
