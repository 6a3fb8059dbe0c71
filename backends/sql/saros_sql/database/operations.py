"""What a thread that talks to a database has to do, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

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


def look(topics: int) -> Operation:
    """Try again what waits for these topics: others may have changed something of them."""
    return Operation(partial(_look, topics), light=True)


def is_over(operation: Operation, found: list[Ended]) -> bool:
    future = operation.future
    return future is None or future.done() or any(each.operation is operation for each in found)


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
