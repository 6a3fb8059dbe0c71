"""What the threads need of a connection to a database, whichever it is."""

from __future__ import annotations

from typing import Protocol

from saros.model.errors import Error

from .transaction import Touched, Transaction


class Connection(Protocol):
    """Used by one thread. Its methods raise `failures`."""

    failures: tuple[type[Exception], ...]

    def begin(self, full: bool) -> Transaction:
        """Begin a transaction.

        :param full: whether it is on the disk when it is committed.
        :raises Error: UNAVAILABLE when others keep it from that for too long.
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

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End the transaction, if there still is one. It raises nothing."""
        ...

    def explain(self, failure: Exception) -> Error:
        """What one of `failures` is to users."""
        ...

    def idle(self) -> Touched | None:
        """Called when nothing was to be done for a while; gives what others may have changed."""
        ...

    def close(self) -> None: ...
