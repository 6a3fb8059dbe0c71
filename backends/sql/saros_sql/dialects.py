"""The databases that a store can have: what differs between them, and is chosen by the URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from saros.model.errors import INVALID, Error

from .database.boot import SteadyClock, boot_id
from .database.connection import Connection
from .database.opening import connect
from .database.operations import Operation
from .database.transaction import Touched, Transaction
from .database.wake import Wakers
from .options import Options


class Clock(Protocol):
    """The clocks of the database."""

    def now(self) -> int:
        """The steady clock, in nanoseconds."""
        ...

    def wall(self) -> int:
        """The time of day, in nanoseconds since 1970."""
        ...

    def save(self, tx: Transaction) -> None:
        """Note what they show, from time to time."""
        ...


class WakeUps(Protocol):
    """Wake-ups between the stores of one database."""

    @property
    def dead(self) -> set[str]:
        """Sessions whose processes are known to have died."""
        ...

    @property
    def socket(self) -> Any:
        """What is readable when others have said something; None when they cannot be heard."""
        ...

    def listen(self) -> bool:
        """Be woken from now on; False where that is impossible now. It may take a while."""
        ...

    def tell(self, touched: Touched) -> None:
        """Wake the others. Any thread may."""
        ...

    def read(self) -> Touched:
        """What the others have said since the last time. Afterwards, `socket` may be None."""
        ...

    def forget(self, owner: str) -> None:
        """A session has ended."""
        ...

    def close(self) -> None: ...


class Dialect(Protocol):
    @property
    def boot(self) -> str:
        """What tells a restart of the machine, where all stores of a database are on one; else empty."""
        ...

    @property
    def polls(self) -> bool:
        """Whether others can be heard by looking often, where they cannot wake."""
        ...

    @property
    def look_s(self) -> float:
        """Seconds between two checks which other processes are alive."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def wakers(self) -> WakeUps: ...

    def connect(self, reads: bool) -> Connection: ...

    def tell_by(self, post: Callable[[Operation], None]) -> None:
        """Have a thread that wakes others by its connection, where that needs one."""
        ...


class Sqlite:
    """See `Dialect`."""

    polls = True

    def __init__(self, options: Options, owner: str) -> None:
        self._options = options
        self._owner = owner
        self.boot = boot_id()
        self.look_s = 0.5
        self.clock = SteadyClock()
        self.wakers = Wakers(
            f"{os.path.realpath(options.path)}-wake", owner
        )  # one, whatever links lead to it

    def connect(self, reads: bool) -> Connection:
        return connect(self._options, self._owner, self.clock, reads=reads)

    def tell_by(self, post: Callable[[Operation], None]) -> None:
        pass  # it has sockets for that


def dialect(options: Options, owner: str) -> Dialect:
    """What a store with the session `owner` talks to.

    :raises Error: INVALID when a package is missing.
    """
    if not options.server:
        return Sqlite(options, owner)
    need_driver(options)
    from .postgres.dialect import Postgres

    return Postgres(options, owner)


def need_driver(options: Options) -> None:
    """:raises Error: INVALID when PostgreSQL's driver is not installed."""
    try:
        import psycopg
    except ImportError as exc:
        raise Error(
            f"{options.url}: the PostgreSQL driver psycopg is not there ({exc})",
            INVALID,
            retryable=False,
            hint="install it: pip install 'saros[postgres]'",
        ) from exc
    assert psycopg
