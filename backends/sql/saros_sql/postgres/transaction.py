"""A transaction on PostgreSQL.

Each statement sees what others have committed before it. What belongs to an execution is changed under a lock of its
id (see `Transaction.lock`), an advisory one that ends with the transaction. A transaction locks what it knows
beforehand in the order of the keys, so that none waits for another one that waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from psycopg import Cursor, DataError

from ..database.transaction import Touched, Transaction
from .pending import Pending

LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest(?::bigint[]) AS k"
CLAIM: Final = "SELECT k FROM unnest(?::bigint[]) AS k WHERE pg_try_advisory_xact_lock(k)"
CONNECTED: Final = (
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
    " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def key(schema: str, kind: str, name: str) -> int:
    """The number of an advisory lock."""
    text = f"saros {schema} {kind} {name}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


@cache
def translated(sql: str) -> str:
    return sql.replace("?", "%s")


@cache
def _for_each(sql: str, array: str) -> str:
    """The query for many values of its parameter: rows begin with the place of the value."""
    each = sql.replace("?", "k.value")
    return (
        f"SELECT k.place, found.* FROM unnest(?::{array}) WITH ORDINALITY AS k(value, place)"
        f" CROSS JOIN LATERAL ({each}) AS found ORDER BY 1, 2"
    )


def _without_zeros(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """PostgreSQL has no text with a zero."""
    return tuple(arg.replace("\0", "\ufffd") if isinstance(arg, str) and "\0" in arg else arg for arg in args)


class PostgresTransaction(Transaction):
    """:ivar writes: statements that may have changed something.
    :ivar xid: its number on the server, as text; empty when it only reads.
    :ivar bare: there is no transaction: each statement is one by itself.
    """

    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, cursor: Cursor[tuple[Any, ...]], schema: str, owner: str) -> None:
        self._cursor = cursor
        self._schema = schema
        self.owner = owner
        self.touched = Touched()
        self.steady = self.now = 0
        self.writes = 0
        self.xid = ""
        self._held: set[int] = set()
        self.bare = False
        self._pending = Pending()

    def hold(self, keys: Iterable[int]) -> None:
        """Note that it has locked them."""
        self._held.update(keys)

    def all(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        if not sql.startswith("SELECT"):
            self.writes += 1
        self.flush()
        return self._execute(sql, args).fetchall()

    def one_of(self, id: str, sql: str, *args: Any) -> tuple[Any, ...] | None:
        if self._pending.of(id):
            self.flush()
        return self._execute(sql, args).fetchone()

    def each(self, ids: Sequence[str], sql: str, keys: Sequence[Any]) -> list[list[tuple[Any, ...]]]:
        args: tuple[Any, ...] = tuple(keys)
        if any(map(self._pending.of, ids)):
            one = self._pending.with_query(sql, args) if len(keys) == 1 else None
            if one is None:
                self.flush()
            else:
                sql, args = one
        if len(keys) == 1:
            return [self._execute(sql, args).fetchall()]
        found: list[list[tuple[Any, ...]]] = [[] for _ in keys]
        if keys:
            array = "text[]" if isinstance(keys[0], str) else "bigint[]"
            for number, *row in self._execute(_for_each(sql, array), (list(keys),)):
                found[number - 1].append(tuple(row))
        return found

    def run(self, sql: str, *args: Any) -> int:
        self.writes += 1
        self.flush()
        return self._execute(sql, args).rowcount

    def _execute(self, sql: str, args: tuple[Any, ...]) -> Cursor[tuple[Any, ...]]:
        statement: Any = translated(sql)
        try:
            return self._cursor.execute(statement, args)
        except DataError as exc:
            if exc.sqlstate is not None:
                raise
            return self._cursor.execute(statement, _without_zeros(args))  # it has not been sent

    def many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        given = list(rows)
        if given:
            self.writes += 1
            self.flush()
            self._many(sql, given)

    def _many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        if len(rows) == 1:
            self._execute(sql, rows[0])
        else:
            statement: Any = translated(sql)
            self._cursor.executemany(statement, [_without_zeros(row) for row in rows])

    def later(self, id: str, sql: str, *args: Any) -> None:
        self.writes += 1
        if not self._pending.add(id, sql, args):
            self.flush()
            self._pending.add(id, sql, args)

    def flush(self) -> None:
        """Run what waits."""
        if self._pending:
            for sql, rows in self._pending.take():
                self._many(sql, rows)

    def lock(self, *names: str) -> None:
        keys = sorted({key(self._schema, "lock", name) for name in names} - self._held)
        if keys:
            self._execute(LOCK, (keys,))
            self.hold(keys)

    def holds(self, ids: Sequence[str]) -> bool:
        return all(key(self._schema, "lock", id) in self._held for id in ids)

    def claim(self, ids: Sequence[str], topic: int = 0) -> set[str]:
        keys = {id: key(self._schema, "lock", id) for id in ids}
        wanted = sorted(set(keys.values()) - self._held)
        if wanted:
            self.hold(number for (number,) in self._execute(CLAIM, (wanted,)))
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
