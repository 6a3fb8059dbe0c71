"""What a store uses of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from saros.model.timing import SECOND

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
        # A check costs each worker a round trip; a session that has lost its connection gets seconds to return.
        self.look_s = min(1.0, max(0.5, options.lease / SECOND / 10))
        self.clock = ServerClock()
        self.wakers = Notifications(options, owner)

    def connect(self, reads: bool) -> PostgresConnection:
        raw = opened(self._options) if reads else prepared(self._options)
        return PostgresConnection(raw, self._options, self._owner, self.clock, reads)

    def tell_by(self, post: Callable[[Operation], None]) -> None:
        self.wakers.post = post
