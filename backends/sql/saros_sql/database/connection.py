"""The interface of a database connection, which each dialect implements."""

from __future__ import annotations

from typing import Protocol

from saros.model.errors import Error

from .transaction import Touched, Transaction


class Connection(Protocol):
    """Used by one thread. Its methods raise `failures`."""

    failures: tuple[type[Exception], ...]

    def begin(self, full: bool) -> Transaction:
        """Begin a transaction.

        :param full: a commit returns only once the data is on the disk.
        :raises Error: UNAVAILABLE when other processes keep the database locked for too long.
        """
        ...

    def save(self) -> None:
        """Set the savepoint; there is at most one at a time."""
        ...

    def keep(self) -> None:
        """Release the savepoint and keep its changes."""
        ...

    def undo(self) -> None:
        """Roll back to the savepoint and release it."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Roll back the transaction, if one is open. Never raises."""
        ...

    def explain(self, failure: Exception) -> Error:
        """Turn one of `failures` into an error for users."""
        ...

    def idle(self) -> Touched | None:
        """Called after a while without operations; returns what other processes may have changed."""
        ...

    def close(self) -> None: ...
