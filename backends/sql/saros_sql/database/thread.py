"""Database threads. Each has one connection and runs operations in the order in which they arrive.

Operations that wait at the same time run in one transaction and share the cost of a commit; one that fails is rolled
back alone. Their callers get the results after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from saros.model.errors import UNAVAILABLE, Error

from .connection import Connection, Refused, Unsure
from .operations import WAKE, Ended, Finds, Operation, Partly, look, settle, tried
from .transaction import Touched, Transaction

T = TypeVar("T")

TURN_S: Final = 0.0005
"""Python's thread switch interval. Each statement releases Python's lock and must reacquire it: with the default of
5 ms, a busy event loop would delay a transaction by that much at every statement."""
MOST: Final = 200
"""Operations of one transaction: others wait for its end."""
CONNECTING_S: Final = 0.5
"""How long to wait for a thread that still connects; nothing can stop it."""
AGAIN_S: Final = 0.005
"""After which it looks again for what another store has locked."""


class DatabaseThread:
    """:param connect: opens the connection; called by the thread.
    :param told: called by the thread after each commit, with what the commit changed.
    :param known: called by the event loop after each commit, with what the commit changed.
    :param heard: called by the thread with what other processes may have changed.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        told: Callable[[Touched], None],
        known: Callable[[Touched], None],
        heard: Callable[[Touched], None],
    ) -> None:
        self._connect = connect
        self._told = told
        self._known = known
        self._heard = heard
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = self._connected = False
        self.pause = 1.0
        """The idle time, in seconds, after which the thread checks for changes by other processes."""
        self.beat: tuple[float, Callable[[Transaction], object]] | None = None
        """What it does every so many seconds."""
        self.looked: Callable[[], None] = lambda: None
        """Called whenever it has looked what others have done."""
        self._next_beat = self._next_look = 0.0
        self._finds = Finds()
        self._unsure: list[Unsure] = []

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
        ids: tuple[str, ...] = (),
        light: bool = False,
        bare: bool = False,
    ) -> T:
        """Run an operation and return its result. An operation that has begun continues if the caller is cancelled.

        With a `topic`, return the first result that is not empty. Until there is one, the operation is tried again
        within each transaction that changes something of the topic.

        :raises Error: what the operation raises; UNAVAILABLE if the database is unavailable.
        """
        if self._closed or self._loop is None:
            raise Error("the database is closed", UNAVAILABLE)
        future: asyncio.Future[T] = self._loop.create_future()
        operation = Operation(call, full, future, undo, topic, ids, light, bare)
        if not topic:
            self._queue.put(operation)
        elif self._finds.add(operation):
            self._queue.put(WAKE)
        return await future

    def post(self, operation: Operation) -> None:
        """Have something done for whose result nobody waits. Any thread may."""
        if not self._closed:
            self._queue.put(operation)

    async def close(self) -> None:
        """End the thread after it has run all pending operations, or later, if it still connects."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, None if self._connected else CONNECTING_S)

    # --- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as exc:
            failure = exc
            self._answer(lambda: settle(self._opened, error=failure))
            return
        self._connected = True
        self._answer(lambda: settle(self._opened))
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
            operations.append(Operation(self.beat[1], light=True))
        if operations:
            self._ask_again(connection)
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
            self.looked()
            if changed is not None:
                self._heard(changed)

    def _fail_waiting(self, error: Error) -> None:
        ended = [Ended(each, error=error) for each in self._finds.take()]
        self._answer(lambda: self._settle_all(ended))

    def _collect(self) -> tuple[list[Operation], bool]:
        operations = self._finds.begun()
        try:
            first = self._queue.get_nowait() if operations else self._queue.get(timeout=self._wait_s())
            while True:
                if first is None:
                    return operations, False
                if first is not WAKE:
                    operations.append(first)
                if len(operations) >= MOST:
                    break
                first = self._queue.get_nowait()
        except queue.Empty:
            pass
        operations += self._finds.begun()
        if self._finds.again:
            operations.append(look(self._finds.again))
        return operations, True

    def _wait_s(self) -> float:
        until = self._next_look if self.beat is None else min(self._next_look, self._next_beat)
        wait = min(self.pause, until - time.monotonic())
        return max(0.001, min(wait, AGAIN_S) if self._finds.again else wait)

    def _batch(self, connection: Connection, operations: list[Operation]) -> None:
        """Run operations in one transaction; if that fails, each in its own: perhaps it is the fault of one."""
        begun = time.monotonic()
        while operations:
            try:
                self._transact(connection, operations)
                return
            except Partly as exc:
                self._finds.failed()
                connection.rollback()
                failed = exc.ended.operation
                operations = [each for each in operations if each is not failed]
                self._finds.drop(failed)
                self._answer(partial(self._settle_all, [exc.ended]))
                continue
            except Unsure as exc:
                self._finds.failed()
                self._unsure.append(exc)
                self._fail(connection, operations, exc.error)
                return
            except Refused as exc:
                self._fail(connection, operations, exc.error)
                return
            except Exception as exc:
                self._finds.failed()
                connection.rollback()
                if connection.passes(exc, begun):
                    continue
                if len(operations) == 1:
                    self._fail(connection, operations, exc)
                    return
            for each in operations:
                self._batch(connection, [each])
            return

    def _transact(self, connection: Connection, operations: list[Operation]) -> None:
        transaction = connection.begin(operations)
        if len(operations) == 1:
            ended = [Ended(operations[0], operations[0].call(transaction))]
            transaction.flush()
        else:
            ended = [tried(each, transaction, connection.failures) for each in operations]
        waiting = self._finds.with_more(ended)
        changed = transaction.touched.topics
        found = self._find(connection, transaction, waiting)
        done = [*(each for each in ended if not each.waits), *found]
        try:
            connection.commit(transaction)
        except Unsure as exc:
            exc.done = done
            raise
        self._finds.committed(transaction, changed, waiting, found)
        touched = transaction.touched
        if touched:
            self._told(touched)
        if touched or done:
            self._answer(lambda: self._ended(touched, done))

    def _find(
        self, connection: Connection, transaction: Transaction, waiting: list[Operation]
    ) -> list[Ended]:
        """Try what waits for what the transaction has changed. What is found at once concerns nobody else."""
        touched = transaction.touched
        topics = touched.topics | transaction.looked
        if not topics:
            return []
        found: list[Ended] = []
        for each in waiting:
            if each.topic & topics and each.future is not None and not each.future.done():
                ended = tried(each, transaction, connection.failures)
                if not ended.waits:
                    found.append(ended)
        if found and touched.topics:
            transaction.doubtful = touched.topics
        return found

    def _fail(self, connection: Connection, operations: list[Operation], exc: Exception) -> None:
        error = connection.explain(exc) if isinstance(exc, connection.failures) else exc
        self._answer(lambda: self._settle_all([Ended(each, error=error) for each in operations]))

    def _ask_again(self, connection: Connection) -> None:
        """Ask what has become of commits of which that was not to be known, and undo what nobody has heard of."""
        for unsure in self._unsure[:]:
            happened = connection.happened(unsure)
            if happened is None:
                return
            self._unsure.remove(unsure)
            for each in unsure.done if happened else ():
                if (undone := each.undone()) is not None:
                    self._queue.put(undone)

    # --- the event loop ---------------------------------------------------------------------

    def _answer(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the event loop has ended, so nobody waits
            self._loop.call_soon_threadsafe(call)

    def _ended(self, touched: Touched, ended: list[Ended]) -> None:
        self._known(touched)
        self._settle_all(ended)

    def _settle_all(self, ended: list[Ended]) -> None:
        for each in ended:
            undone = each.settle()
            if undone is not None:
                self.post(undone)
