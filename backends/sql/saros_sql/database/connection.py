"""The interface of a database connection, which each dialect implements."""

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

    def commit(self, transaction: Transaction) -> None:
        """Commit, and settle which topics have something left to take.

        :raises Unsure: when it may have happened, or not.
        """
        ...

    def happened(self, unsure: Unsure) -> bool | None:
        """Whether a commit has happened; None while that is not to be known."""
        ...

    def rollback(self) -> None:
        """Roll back the transaction, if one is open. Never raises."""
        ...

    def passes(self, failure: Exception, begun: float) -> bool:
        """Whether a transaction that failed, and changed nothing, is likely to succeed now.

        :param begun: when it was tried first, by `time.monotonic`.
        """
        ...

    def explain(self, failure: Exception) -> Error:
        """Turn one of `failures` into an error for users."""
        ...

    def idle(self) -> Touched | None:
        """Called after a while without operations; returns what other processes may have changed."""
        ...

    def close(self) -> None: ...
