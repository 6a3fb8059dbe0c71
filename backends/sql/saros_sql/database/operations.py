"""What a thread that talks to a database has to do, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from .transaction import Transaction

log = logging.getLogger("saros.sql")


class Operation(NamedTuple):
    """What a thread has to do.

    :ivar call: runs within a transaction, perhaps more than once.
    :ivar full: its result counts on it that it is on the disk.
    :ivar undo: undoes it when nobody waits for its result any more; gets that.
    :ivar topic: when it finds nothing, it waits until something of this topic has changed.
    :ivar ids: the names that it locks, as far as they are known before; see `Transaction.lock`.
    :ivar light: a store that lives on notices when the database has lost it.
    :ivar bare: one statement that changes nothing and needs no time.
    """

    call: Callable[[Transaction], Any]
    full: bool = False
    future: asyncio.Future[Any] | None = None
    undo: Callable[[Transaction, Any], None] | None = None
    topic: int = 0
    ids: tuple[str, ...] = ()
    light: bool = False
    bare: bool = False


class Ended:
    """The result of an operation, or what it raised."""

    __slots__ = ("error", "operation", "result")

    @property
    def waits(self) -> bool:
        """Whether it is to be tried again later."""
        return bool(self.operation.topic) and self.error is None and not self.result

    def __init__(self, operation: Operation, result: Any = None, error: Exception | None = None) -> None:
        self.operation, self.result, self.error = operation, result, error

    def undone(self) -> Operation | None:
        """What undoes it, if anything has to."""
        undo = self.operation.undo
        if undo is None or self.error is not None:
            return None
        return Operation(partial(_undo, undo, self.result))

    def settle(self) -> Operation | None:
        """Answer whoever asked; gives what has to be done when nobody waits for that any more."""
        future = self.operation.future
        if future is None:
            if self.error is not None:
                log.warning("%s", self.error)
        elif not future.done():
            settle(future, self.result, self.error)
        else:
            return self.undone()
        return None


class Partly(Exception):
    """An operation failed after it had changed something: the others run again, without it."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended


def tried(operation: Operation, transaction: Transaction, failures: tuple[type[Exception], ...]) -> Ended:
    """Run an operation in a transaction that others share. There is no savepoint for it: that costs two statements,
    and is needed only by an operation that fails in the middle.

    :param failures: of the database; they concern the whole transaction, and are raised.
    :raises Partly: the transaction has to be rolled back.
    """
    before = transaction.writes
    try:
        result = operation.call(transaction)
        transaction.flush()
    except failures:
        raise
    except Exception as exc:
        ended = Ended(operation, error=exc)
        transaction.drop()
        if transaction.writes != before:
            raise Partly(ended) from exc
        return ended
    return Ended(operation, result)


class Finds:
    """The operations with a topic that have found nothing yet.

    :ivar again: topics of which others have locked something.
    """

    def __init__(self) -> None:
        self._new: deque[Operation] = deque()
        self._waiting: list[Operation] = []
        self._empty = 0  # topics of which nothing was left, and nothing has changed since
        self.again = 0

    def add(self, operation: Operation) -> bool:
        """Add an operation; return whether the thread has to be woken for it. Any thread may.

        The thread notes that something may be left before it looks for new operations, and this adds one before it
        looks at that note: so one of both sees what the other did.
        """
        self._new.append(operation)
        return not operation.topic & self._empty

    def begun(self) -> list[Operation]:
        """Return the new operations that may find something. The others wait."""
        found: list[Operation] = []
        while self._new:
            operation = self._new.popleft()
            (self._waiting if operation.topic & self._empty else found).append(operation)
        return found

    def with_more(self, ended: list[Ended]) -> list[Operation]:
        """Return what waits, with the operations that have just found nothing."""
        return [*self._waiting, *(each.operation for each in ended if each.waits)]

    def committed(
        self, transaction: Transaction, changed: int, waiting: list[Operation], found: list[Ended]
    ) -> None:
        """Note what still waits after a transaction.

        :param changed: the topics of which its operations have changed something.
        """
        self.again = transaction.passed_over
        self._empty &= ~(changed | transaction.looked)
        self._empty |= transaction.doubtful & ~transaction.touched.topics
        if found:
            over = {id(each.operation) for each in found}
            waiting = [each for each in waiting if id(each) not in over]
        self._waiting = [each for each in waiting if each.future is not None and not each.future.done()]

    def failed(self) -> None:
        """A transaction has failed: perhaps something is left again."""
        self._empty = 0

    def drop(self, operation: Operation) -> None:
        self._waiting = [each for each in self._waiting if each is not operation]

    def take(self) -> list[Operation]:
        """Return what waits, and forget it."""
        waiting, self._waiting = self._waiting, []
        return waiting


WAKE: Final = Operation(lambda tx: None)
"""Wakes the thread, which does nothing for it."""


def look(topics: int) -> Operation:
    """Try again what waits for these topics: others may have changed something of them."""
    return Operation(partial(_look, topics), light=True)


def settle(future: asyncio.Future[Any], result: Any = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _look(topics: int, transaction: Transaction) -> None:
    transaction.looked |= topics


def _undo(undo: Callable[[Transaction, Any], None], result: Any, transaction: Transaction) -> None:
    undo(transaction, result)
