"""Tasks that async functions start: what they raise to end the process reaches whoever awaits them.

asyncio lets SystemExit and KeyboardInterrupt out of a task through the event loop, which ends the worker and all
that it runs. So in such a task they become a `saros.Error`, as they do in the function itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator, Iterator
from contextvars import ContextVar
from typing import Any

from saros.model.errors import INTERNAL, Error
from saros.model.execution import error_of

_inside: ContextVar[bool] = ContextVar("saros_python.inside", default=False)


@contextlib.contextmanager
def harmless_tasks() -> Iterator[None]:
    """Guard all tasks that code within the context starts, and those that they start."""
    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()
    if not isinstance(factory, _Factory):
        loop.set_task_factory(_Factory(factory))
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


class _Factory:
    """A task factory that leaves the making of tasks to the one before it, which belongs to the loop's owner."""

    def __init__(self, before: Any) -> None:
        self._before = before or _new_task

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        return self._before(loop, _Guarded(work) if _inside.get() else work, **options)


def _new_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(work, loop=loop, **options)


class _Guarded(Coroutine[Any, Any, Any]):
    """A coroutine that raises an error instead of what ends the process; in all else, it is like the one within."""

    __slots__ = ("_work",)

    def __init__(self, work: Any) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._work.__await__())

    def send(self, value: Any) -> Any:
        try:
            return self._work.send(value)
        except (SystemExit, KeyboardInterrupt) as raised:
            raise _harmless(raised) from raised

    def throw(self, *raised: Any) -> Any:
        try:
            return self._work.throw(*raised)
        except (SystemExit, KeyboardInterrupt) as ended:
            raise _harmless(ended) from ended

    def close(self) -> None:
        self._work.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(
            self._work, name
        )  # cr_frame and others, by which tasks and libraries inspect a coroutine


def _harmless(raised: BaseException) -> Error:
    return Error(error_of(raised).message, INTERNAL, retryable=False)
