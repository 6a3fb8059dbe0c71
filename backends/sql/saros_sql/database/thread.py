"""Database threads. Each has one connection and runs operations in the order in which they arrive.

Operations that wait at the same time run in one transaction and share the cost of a commit; one that fails is rolled
back alone. Their callers get the results after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from saros.model.errors import UNAVAILABLE, Error

from .connection import Connection
from .transaction import Touched, Transaction

T = TypeVar("T")
log = logging.getLogger("saros.sql")

TURN_S: Final = 0.0005
"""Python's thread switch interval. Each statement releases Python's lock and must reacquire it: with the default of
5 ms, a busy event loop would delay a transaction by that much at every statement."""
MOST: Final = 200
"""The most operations in one transaction; further ones wait for its end."""


class Operation(NamedTuple):
    """One operation for a thread.

    :ivar call: the function to run within a transaction.
    :ivar full: whether its changes must be on the disk before the caller gets the result.
    :ivar undo: undoes the operation if its caller no longer waits; gets the result.
    :ivar topic: an operation with an empty result waits until something of this topic has changed.
    """

    call: Callable[[Transaction], Any]
    full: bool
    future: asyncio.Future[Any] | None
    undo: Callable[[Transaction, Any], None] | None = None
    topic: int = 0


class _Ended:
    """The outcome of an operation: its result, or the exception that it raised."""

    __slots__ = ("error", "operation", "result")

    @property
    def waits(self) -> bool:
        """Whether the operation has found nothing yet and must be tried again."""
        return bool(self.operation.topic) and self.error is None and not self.result

    def __init__(self, operation: Operation, result: Any = None, error: Exception | None = None) -> None:
        self.operation, self.result, self.error = operation, result, error


class DatabaseThread:
    """:param connect: opens the connection; called by the thread.
    :param told: called by the thread after each commit, with what the commit changed.
    :param heard: called by the thread with what other processes may have changed.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        told: Callable[[Touched], None],
        heard: Callable[[Touched], None],
    ) -> None:
        self._connect = connect
        self._told = told
        self._heard = heard
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.pause = 1.0
        """The idle time, in seconds, after which the thread checks for changes by other processes."""
        self.beat: tuple[float, Callable[[Transaction], object]] | None = None
        """An interval in seconds, and a function that the thread runs that often; None for nothing."""
        self._next_beat = self._next_look = 0.0
        self._waiting: list[Operation] = []  # operations that have found nothing yet

    async def open(self) -> None:
        """:raises Error: if the connection cannot be opened."""
        sys.setswitchinterval(min(sys.getswitchinterval(), TURN_S))
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._opened = opened
        self._thread.start()
        await opened

    async def run(
        self,
        call: Callable[[Transaction], T],
        *,
        full: bool = False,
        undo: Callable[[Transaction, T], None] | None = None,
        topic: int = 0,
    ) -> T:
        """Run an operation and return its result. An operation that has begun continues if the caller is cancelled.

        With a `topic`, return the first result that is not empty. Until there is one, the operation is tried again
        within each transaction that changes something of the topic.

        :raises Error: what the operation raises; UNAVAILABLE if the database is unavailable.
        """
        if self._closed or self._loop is None:
            raise Error("the database is closed", UNAVAILABLE)
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Operation(call, full, future, undo, topic))
        return await future

    def look(self, topics: int) -> None:
        """Retry the operations that wait for these topics, because other processes may have changed something."""
        self._queue.put(Operation(partial(_look, topics), False, None))

    async def close(self) -> None:
        """End the thread after it has run all pending operations."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as exc:
            failure = exc
            self._answer(lambda: _settle(self._opened, error=failure))
            return
        self._answer(lambda: _settle(self._opened))
        try:
            while self._step(connection):
                pass
        finally:
            connection.close()

    def _step(self, connection: Connection) -> bool:
        """Run the pending operations, or wait for some; return False once the thread must end."""
        operations, goes_on = self._collect()
        now = time.monotonic()
        if self.beat is not None and goes_on and now >= self._next_beat:
            self._next_beat = now + self.beat[0]
            operations.append(Operation(self.beat[1], False, None))
        if operations:
            self._batch(connection, operations)
        if goes_on and now >= self._next_look:
            self._next_look = now + self.pause
            self._look_around(connection)
        return goes_on

    def _look_around(self, connection: Connection) -> None:
        """Check for changes by other processes, including those that could not send a wake-up."""
        try:
            changed = connection.idle()
        except Error as exc:
            self._fail_waiting(exc)
        except connection.failures as exc:
            self._fail_waiting(connection.explain(exc))
        else:
            if changed is not None:
                self._heard(changed)

    def _fail_waiting(self, error: Error) -> None:
        waiting, self._waiting = self._waiting, []
        ended = [_Ended(each, error=error) for each in waiting]
        self._answer(lambda: self._settle_all(ended))

    def _collect(self) -> tuple[list[Operation], bool]:
        operations: list[Operation] = []
        try:
            until = self._next_look if self.beat is None else min(self._next_look, self._next_beat)
            first = self._queue.get(timeout=max(0.001, min(self.pause, until - time.monotonic())))
            while True:
                if first is None:
                    return operations, False
                operations.append(first)
                if len(operations) >= MOST:
                    break
                first = self._queue.get_nowait()
        except queue.Empty:
            pass
        return operations, True

    def _batch(self, connection: Connection, operations: list[Operation]) -> None:
        try:
            transaction = connection.begin(any(operation.full for operation in operations))
        except Exception as exc:
            self._fail(connection, operations, exc)
            return
        try:
            ended = [self._one(connection, transaction, each, len(operations) > 1) for each in operations]
            waiting = [*self._waiting, *(each.operation for each in ended if each.waits)]
            found = self._find(connection, transaction, waiting)
            connection.commit()
        except Exception as exc:
            connection.rollback()
            if len(operations) > 1:  # perhaps only one of them is to blame
                for each in operations:
                    self._batch(connection, [each])
            else:
                self._fail(connection, operations, exc)
            return
        self._waiting = [each for each in waiting if not _is_over(each, found)]
        if transaction.touched:
            self._told(transaction.touched)
        done = [*(each for each in ended if not each.waits), *found]
        if done:
            self._answer(lambda: self._settle_all(done))

    def _find(
        self, connection: Connection, transaction: Transaction, waiting: list[Operation]
    ) -> list[_Ended]:
        """Retry operations whose topics have changed. What they find is leased at once, and needs no wake-up."""
        touched = transaction.touched
        topics = touched.topics | transaction.looked
        if not topics:
            return []
        found: list[_Ended] = []
        for each in waiting:
            if each.topic & topics and each.future is not None and not each.future.done():
                ended = self._one(connection, transaction, each, True)
                if not ended.waits:
                    found.append(ended)
        if found and touched.topics:
            touched.topics = transaction.left(touched.topics)
        return found

    def _fail(self, connection: Connection, operations: list[Operation], exc: Exception) -> None:
        error = connection.explain(exc) if isinstance(exc, connection.failures) else exc
        self._answer(lambda: self._settle_all([_Ended(each, error=error) for each in operations]))

    def _one(
        self, connection: Connection, transaction: Transaction, operation: Operation, shares: bool
    ) -> _Ended:
        if not shares:
            return _Ended(operation, operation.call(transaction))
        connection.save()
        try:
            result = operation.call(transaction)
        except connection.failures:
            raise
        except Exception as exc:
            connection.undo()
            return _Ended(operation, error=exc)
        connection.keep()
        return _Ended(operation, result)

    # --- the event loop ---------------------------------------------------------------------

    def _answer(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the event loop has ended, so nobody waits
            self._loop.call_soon_threadsafe(call)

    def _settle_all(self, ended: list[_Ended]) -> None:
        for each in ended:
            operation = each.operation
            if operation.future is None:
                if each.error is not None:
                    log.warning("%s", each.error)
            elif not operation.future.done():
                _settle(operation.future, each.result, each.error)
            elif operation.undo is not None and each.error is None and not self._closed:
                undo, result = operation.undo, each.result
                self._queue.put(Operation(partial(_undo, undo, result), False, None))


def _look(topics: int, transaction: Transaction) -> None:
    transaction.looked |= topics


def _is_over(operation: Operation, found: list[_Ended]) -> bool:
    future = operation.future
    return future is None or future.done() or any(each.operation is operation for each in found)


def _undo(undo: Callable[[Transaction, Any], None], result: Any, transaction: Transaction) -> None:
    undo(transaction, result)


def _settle(future: asyncio.Future[Any], result: Any = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
