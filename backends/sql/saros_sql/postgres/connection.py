"""A connection to PostgreSQL, which is made again when it was lost."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

import psycopg

from saros.model.clock import steady_ns
from saros.model.errors import Error

from ..database.connection import Refused, Unsure
from ..database.operations import Operation
from ..database.transaction import EVERYTHING, Touched
from ..options import Options
from .clock import Pace, ServerClock, stood_still
from .driver import Raw, connect, explain, is_lost, may_connect
from .opening import check_schema
from .transaction import PostgresTransaction, key

SHORTEST_S: Final = 0.01
LONGEST_S: Final = 0.5
"""Waits between attempts to connect."""
LOOKS: Final = 5
"""Every so many looks it takes into account that somebody was killed between a commit and telling of it."""
TIMES: Final = (
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, ahead, steady, {xid} FROM clock"
)
READ: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {TIMES.format(xid=chr(39) * 2)}"
WRITE: Final = (
    "BEGIN; SELECT pg_advisory_xact_lock(k) FROM unnest('{{{keys}}}'::bigint[]) AS k; "
    + TIMES.format(xid="pg_current_xact_id()::text")
)
MARK: Final = (
    "INSERT INTO commits (owner, number, at) VALUES ('{owner}', {number}, {at})"
    " ON CONFLICT (owner) DO UPDATE SET number = excluded.number, at = excluded.at"
)
"""What a transaction leaves behind. Its xid is not enough: a server that has crashed, or another one that has taken
over, gives an xid again if it has never heard of it."""


class _Partly(Exception):
    """An operation failed after it had changed something; what it shares its transaction with is done again."""


class PostgresConnection:
    """See `Connection`.

    :param owner: the session of the store.
    :param reads: it only reads.
    """

    failures: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, raw: Raw, options: Options, owner: str, clock: ServerClock, reads: bool) -> None:
        self._raw: Raw | None = raw
        self._options = options
        self._owner = owner
        self._clock = clock
        self._reads = reads
        self._pace = Pace()
        self._transaction: PostgresTransaction | None = None
        self._light = False
        self._mark = 0
        self._seen = ""
        self._looks = 0
        self._commits = 0

    # --- begin ------------------------------------------------------------------------------

    def begin(self, operations: Sequence[Operation]) -> PostgresTransaction:
        ids = {id for operation in operations for id in operation.ids}
        keys = sorted({key(self._options.schema, "lock", id) for id in ids})
        self._light = all(each.light or each.topic for each in operations)
        until = time.monotonic() + self._options.busy / 1e9
        try:
            while True:
                raw = self._connected(until)
                try:
                    if (transaction := self._begun(raw, keys)) is not None:
                        return transaction
                except psycopg.Error as exc:
                    self._end(exc)
                    if not is_lost(exc):
                        raise
        except psycopg.Error as exc:
            raise Refused(self.explain(exc)) from exc
        except Error as exc:
            raise Refused(exc) from exc

    def _connected(self, until: float) -> Raw:
        """The connection; a new one, if it was lost.

        :raises psycopg.Error: there is none until then.
        """
        wait = SHORTEST_S
        while self._raw is None:
            try:
                self._raw = connect(self._options, lambda raw: check_schema(raw, self._options))
            except psycopg.Error as exc:
                if not may_connect(exc) or time.monotonic() > until:
                    raise
                time.sleep(wait * (0.5 + random.random()))
                wait = min(wait * 2, LONGEST_S)
        return self._raw

    def _begun(self, raw: Raw, keys: list[int]) -> PostgresTransaction | None:
        """A transaction; None when the server's clock was set, which has been mended."""
        transaction = PostgresTransaction(raw.cursor(binary=True), self._options.schema, self._owner)
        transaction.hold(keys)
        sent = steady_ns()
        found = raw.execute(READ if self._reads else WRITE.format(keys=",".join(map(str, keys))))
        while found.nextset():
            pass
        row = found.fetchone()
        assert row is not None
        micros, ahead, seen, transaction.xid = row
        transaction.now = micros * 1_000
        transaction.steady = transaction.now + ahead
        if not self._reads and (step := self._pace.step(transaction.steady, ahead, sent)):
            raw.execute("ROLLBACK")
            self._pace.forget()
            if not stood_still(step, transaction.steady, seen):
                raw.execute("UPDATE clock SET ahead = %s WHERE ahead = %s", (ahead - step, ahead))
            return None
        self._clock.heard(transaction.now, None if self._reads else transaction.steady, sent)
        self._transaction = transaction
        return transaction

    # --- within it --------------------------------------------------------------------------

    def save(self) -> None:
        assert self._transaction is not None
        self._mark = self._transaction.writes

    def keep(self) -> None:
        """Savepoints cost two round trips each. Nothing is to be undone unless an operation fails in the middle."""

    def undo(self) -> None:
        assert self._transaction is not None
        if self._transaction.writes != self._mark:
            raise _Partly

    # --- end --------------------------------------------------------------------------------

    def commit(self) -> None:
        raw, transaction = self._raw, self._transaction
        assert raw is not None
        assert transaction is not None
        self._transaction = None
        light = self._light and not transaction.lasting
        self._commits += 1
        mark = MARK.format(owner=self._owner, number=self._commits, at=transaction.steady)
        first = "SET LOCAL synchronous_commit = off" if light or not transaction.writes else mark
        try:
            raw.execute(f"{first}; COMMIT")
        except psycopg.Error as exc:
            if not is_lost(exc) or not transaction.writes:
                raise
            self._end(exc)
            token = f"{transaction.xid} {0 if light else self._commits}"
            happened = self._find_out(token)
            if happened is None:
                raise Unsure(self.explain(exc), token) from exc
            if not happened:
                raise

    def _find_out(self, token: str) -> bool | None:
        """Whether a transaction was committed whose connection was lost meanwhile; None if nobody answers."""
        xid, _, number = token.partition(" ")
        until = time.monotonic() + self._options.busy / 1e9
        while time.monotonic() < until:
            try:
                raw = self._connected(until)
                row = raw.execute("SELECT pg_xact_status(%s::xid8)", (xid,)).fetchone()
                if row is not None and row[0] in ("committed", "aborted"):
                    return row[0] == "committed" and (number == "0" or self._is_marked(raw, int(number)))
            except (
                psycopg.errors.InvalidParameterValue
            ):  # of the future: a server that never heard of it took over
                return False
            except (psycopg.Error, Error) as exc:
                self._end(exc)
                if not is_lost(exc):
                    return None
                continue
            time.sleep(SHORTEST_S)  # it is in progress: its end has not got there yet
        return None

    def _is_marked(self, raw: Raw, number: int) -> bool:
        """Whether this connection's last commit was that one."""
        row = raw.execute("SELECT number FROM commits WHERE owner = %s", (self._owner,)).fetchone()
        return row == (number,)

    def happened(self, unsure: Unsure) -> bool | None:
        return self._find_out(unsure.token)

    def rollback(self) -> None:
        self._transaction = None
        if self._raw is not None and self._raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                self._raw.execute("ROLLBACK")
            except psycopg.Error:
                self._close()

    def passes(self, failure: Exception, begun: float) -> bool:
        if isinstance(failure, _Partly):
            return False
        again = is_lost(failure) or getattr(failure, "sqlstate", None) in ("40001", "40P01")
        if is_lost(failure):
            self._close()
        if again and time.monotonic() - begun < self._options.busy / 1e9:
            time.sleep(SHORTEST_S * random.random())
            return True
        return False

    def _end(self, failure: BaseException) -> None:
        """After a failure: the transaction is over, and perhaps the connection."""
        if is_lost(failure):
            self._close()
        else:
            self.rollback()

    def _close(self) -> None:
        self._transaction = None
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def explain(self, failure: Exception) -> Error:
        return explain(failure, self._options)

    def idle(self) -> Touched | None:
        try:
            raw = self._connected(0.0)
            row = raw.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
        except psycopg.Error as exc:
            self._end(exc)
            raise
        assert row is not None
        before, self._seen = self._seen, row[0]
        self._looks += 1
        if before == self._seen:
            return None
        return Touched(EVERYTHING, {}, 0, self._looks % LOOKS == 0)

    def close(self) -> None:
        self._close()
