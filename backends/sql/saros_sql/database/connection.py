"""What the threads need of a connection to a database, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from saros.model.errors import Error

from .operations import Ended, Operation
from .transaction import Touched, Transaction


class Refused(Exception):
    """There is no transaction now, for whatever operations."""

    def __init__(self, error: Error) -> None:
        self.error = error


class Unsure(Exception):
    """Nobody knows yet whether a commit has happened.

    :ivar token: names it to the connection.
    :ivar done: the results of its operations.
    """

    def __init__(self, error: Error, token: str) -> None:
        self.error, self.token = error, token
        self.done: list[Ended] = []


class Connection(Protocol):
    """Used by one thread. Its methods raise `failures`."""

    failures: tuple[type[Exception], ...]

    def begin(self, operations: Sequence[Operation]) -> Transaction:
        """Begin a transaction for operations, which say what it locks and whether it has to be on the disk.

        :raises Refused: UNAVAILABLE when others keep it from that for too long.
        """
        ...

    def save(self) -> None:
        """Set a savepoint, of which there is one at a time."""
        ...

    def keep(self) -> None:
        """Take away the savepoint."""
        ...

    def undo(self) -> None:
        """Go back to the savepoint, and take it away."""
        ...

    def commit(self) -> None:
        """:raises Unsure: when it may have happened, or not."""
        ...

    def happened(self, unsure: Unsure) -> bool | None:
        """Whether a commit has happened; None while that is not to be known."""
        ...

    def rollback(self) -> None:
        """End the transaction, if there still is one. It raises nothing."""
        ...

    def passes(self, failure: Exception, begun: float) -> bool:
        """Whether a transaction that failed, and changed nothing, is likely to succeed now.

        :param begun: when it was tried first, by `time.monotonic`.
        """
        ...

    def explain(self, failure: Exception) -> Error:
        """What one of `failures` is to users."""
        ...

    def idle(self) -> Touched | None:
        """Called when nothing was to be done for a while; gives what others may have changed."""
        ...

    def close(self) -> None: ...
