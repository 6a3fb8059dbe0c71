"""The threads that talk to the database: each has a connection, and runs operations in the order they come in.

Operations that wait together run in one transaction and share what a commit costs; one that fails is undone alone.
They are answered when all are committed.
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
"""How long a thread of Python keeps the others waiting. Each statement gives up Python's lock and has to get it back:
with the default of 5 ms, a busy event loop would hold up a transaction for as long at each of its statements."""
MOST: Final = 200
"""Operations of one transaction: others wait for its end."""


class Operation(NamedTuple):
    """What a thread has to do.

    :ivar call: runs within a transaction.
    :ivar full: its result counts on it that it is on the disk.
    :ivar undo: undoes it when nobody waits for its result any more; gets that.
    :ivar topic: when it finds nothing, it waits until something of this topic has changed.
    """

    call: Callable[[Transaction], Any]
    full: bool
    future: asyncio.Future[Any] | None
    undo: Callable[[Transaction, Any], None] | None = None
    topic: int = 0


class _Ended:
    """The result of an operation, or what it raised."""

    __slots__ = ("error", "operation", "result")

    @property
    def waits(self) -> bool:
        """Whether it is to be tried again later."""
        return bool(self.operation.topic) and self.error is None and not self.result

    def __init__(self, operation: Operation, result: Any = None, error: Exception | None = None) -> None:
        self.operation, self.result, self.error = operation, result, error


class DatabaseThread:
    """:param connect: opens the connection; called by the thread.
    :param told: gets what was changed, after each commit; called by the thread.
    :param heard: gets what others may have changed; called by the thread.
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
        """Seconds without anything to do after which it looks what others have done."""
        self.beat: tuple[float, Callable[[Transaction], object]] | None = None
        """What it does every so many seconds."""
        self._next_beat = self._next_look = 0.0
        self._waiting: list[Operation] = []  # operations that have found nothing yet

    async def open(self) -> None:
        """:raises Error: why there is no connection."""
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
        """The result of an operation. What was begun goes on when this is cancelled.

        With a `topic`, its first result that is not empty. While it waits for that, it is tried in the very
        transactions that change something of the topic.

        :raises Error: what it raises; UNAVAILABLE when the database is.
        """
        if self._closed or self._loop is None:
            raise Error("the database is closed", UNAVAILABLE)
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Operation(call, full, future, undo, topic))
        return await future

    def look(self, topics: int) -> None:
        """Try again what waits for these topics: others may have changed something of them."""
        self._queue.put(Operation(partial(_look, topics), False, None))

    async def close(self) -> None:
        """End the thread, once it has done what it has to do."""
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
        """Do what there is to do, or wait for it; False at the end."""
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
        """See what others have done, also those that could not say so."""
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
            if len(operations) > 1:  # perhaps it is the fault of one
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
        """Try what waits for what the transaction has changed. What is found at once concerns nobody else."""
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
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
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
