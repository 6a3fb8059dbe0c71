"""A transaction on PostgreSQL.

Each statement sees what others committed before it. Changes to an execution are made under an advisory lock of its id
(see `Transaction.lock`), which ends with the transaction. A transaction takes the locks that it knows beforehand in
the order of their keys, so that transactions cannot wait for each other in a circle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from saros.model.clock import steady_ns

from ..database.changes import Change, Changes, Row
from ..database.transaction import Touched, Transaction
from .arrays import Array, portions, together
from .pipeline import Pipeline, Reply

LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest(?::bigint[]) AS k"
CLAIM: Final = "SELECT k FROM unnest(?::bigint[]) AS k WHERE pg_try_advisory_xact_lock(k)"
CONNECTED: Final = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
    " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def key(schema: str, kind: str, name: str) -> int:
    """Return the number of an advisory lock."""
    text = f"saros {schema} {kind} {name}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


@cache
def _for_each(sql: str, array: str) -> str:
    """Return a query that runs `sql` for each value of an array; its rows begin with the place of the value."""
    each = sql.replace("?", "k.value")
    return (
        f"SELECT k.place, found.* FROM unnest(?::{array}) WITH ORDINALITY AS k(value, place)"
        f" CROSS JOIN LATERAL ({each}) AS found ORDER BY 1, 2"
    )


class PostgresTransaction(Transaction):
    """A transaction whose statements are sent together as soon as one of them has a result.

    :param begun: the reply with times and xid; None if each statement is a transaction of its own.
    :param arrived: called with that reply, and the time when it was asked for, by `steady_ns`.
    :ivar xid: the server's number of the transaction, as text; empty when it only reads.
    """

    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(
        self, pipeline: Pipeline, schema: str, owner: str, begun: Reply | None, arrived: Callable[..., None]
    ) -> None:
        self._pipeline = pipeline
        self._schema = schema
        self.owner = owner
        self.touched = Touched()
        self._changes = Changes()
        self._writes = 0
        self.xid = ""
        self.is_bare = begun is None
        self._begun = begun
        self._arrived = arrived
        self._now = self._steady = 0
        self._held: set[int] = set()

    def hold(self, keys: Iterable[int]) -> None:
        """Record that these locks are held."""
        self._held.update(keys)

    # --- its times --------------------------------------------------------------------------

    def wait(self) -> None:
        """Wait for all statements."""
        sent = steady_ns()
        self._pipeline.wait()
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self._arrived(self, begun, sent)

    def arrive(self) -> None:
        """Wait until times and xid are known."""
        if self._begun is not None:
            self.wait()

    @property
    def now(self) -> int:  # type: ignore[override]
        self.arrive()
        return self._now

    @property
    def steady(self) -> int:  # type: ignore[override]
        self.arrive()
        return self._steady

    def show(self, now: int, steady: int, xid: str) -> None:
        """Set times and xid."""
        self._now, self._steady, self.xid = now, steady, xid

    # --- statements -------------------------------------------------------------------------

    @property
    def writes(self) -> int:
        return self._writes

    def all(self, sql: str, *args: Any) -> list[Row]:
        self.flush()
        if not sql.startswith("SELECT"):
            self._writes += 1
        reply = self._pipeline.send(sql, args)
        self.wait()
        return reply.rows

    def each(self, sql: str, keys: Sequence[Any]) -> list[list[Row]]:
        if len(keys) == 1:
            return [self.all(sql, keys[0])]
        found: list[list[Row]] = [[] for _ in keys]
        if keys:
            array = "text[]" if isinstance(keys[0], str) else "bigint[]"
            for place, *row in self.all(_for_each(sql, array), list(keys)):
                found[place - 1].append(tuple(row))
        return found

    def run(self, sql: str, *args: Any) -> int:
        self.flush()
        self._writes += 1
        reply = self._pipeline.send(sql, args)
        self.wait()
        return reply.count

    def later(self, sql: str, *args: Any) -> None:
        if isinstance(sql, Change):
            self._changes.add(sql, args)
        else:
            self.flush()
            self._send(sql, args)

    def many(self, sql: str, rows: Sequence[Row]) -> None:
        for row in rows:
            self.later(sql, *row)

    def flush(self) -> None:
        if not self._changes:
            return
        for change, gathered in self._changes.take():
            for rows in portions(change, gathered):
                if len(rows) == 1:
                    self._send(change, rows[0])
                else:
                    columns = zip(change.types, zip(*rows, strict=True), strict=True)
                    self._send(together(change), [Array(kind, values) for kind, values in columns])

    def drop(self) -> None:
        self._changes.take()

    def _send(self, sql: str, args: Sequence[Any]) -> None:
        self._writes += 1
        self._pipeline.send(sql, args)

    def lock(self, *names: str) -> None:
        keys = sorted({key(self._schema, "lock", name) for name in names} - self._held)
        if keys:
            self._pipeline.send(LOCK, [keys])
            self.hold(keys)

    def holds(self, ids: Sequence[str]) -> bool:
        return all(key(self._schema, "lock", id) in self._held for id in ids)

    def claim(self, ids: Sequence[str], topic: int = 0) -> set[str]:
        keys = {id: key(self._schema, "lock", id) for id in ids}
        wanted = sorted(set(keys.values()) - self._held)
        if wanted:
            self.hold(number for (number,) in self.all(CLAIM, wanted))
        claimed = {id for id, number in keys.items() if number in self._held}
        if len(claimed) < len(keys):
            self.passed_over |= topic
        return claimed

    def absent(self, owners: Sequence[str]) -> list[str]:
        if not owners:
            return []
        locked = {number for (number,) in self.all(CONNECTED)}
        return [owner for owner in owners if key(self._schema, "session", owner) not in locked]

    def token(self) -> str:
        return f"{self.owner}:{os.urandom(8).hex()}"
