"""What a store has of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from ..database.operations import Operation
from ..options import Options
from .clock import ServerClock
from .connection import PostgresConnection
from .opening import opened, prepared
from .wake import Notifications


class Postgres:
    """See `Dialect`."""

    boot = ""
    polls = False

    def __init__(self, options: Options, owner: str) -> None:
        self._options = options
        self._owner = owner
        self.clock = ServerClock()
        self.wakers = Notifications(options, owner)

    def connect(self, reads: bool) -> PostgresConnection:
        raw = opened(self._options) if reads else prepared(self._options)
        return PostgresConnection(raw, self._options, self._owner, self.clock, reads)

    def tell_by(self, post: Callable[[Operation], None]) -> None:
        self.wakers.post = post
