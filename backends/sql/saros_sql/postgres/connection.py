"""A connection to PostgreSQL that connects again after it was lost."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import cache
from typing import Final

import psycopg

from saros.model.errors import Error

from ..database.connection import Refused, Unsure
from ..database.operations import Operation
from ..database.transaction import EVERYTHING, LEFT, Touched, Transaction
from ..options import Options
from .clock import Pace, ServerClock, stood_still
from .driver import Raw, by_index, connect, explain, is_lost, may_connect
from .opening import check_schema
from .pipeline import FORGOTTEN, Pipeline, Reply
from .transaction import LOCK, PostgresTransaction, key

SHORTEST_S: Final = 0.01
LONGEST_S: Final = 0.5
"""Waits between attempts to connect."""
LOOKS: Final = 5
"""Every fifth look is for work that nobody was told of, because a process was killed right after its commit."""
TIMES: Final = (
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, ahead, steady, {xid} FROM clock"
)
TIMES_OF_READ: Final = TIMES.format(xid="''")
TIMES_OF_WRITE: Final = TIMES.format(xid="pg_current_xact_id()::text")
READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

MARK: Final = (
    "INSERT INTO commits (owner, number, at) VALUES (?, ?, ?)"
    " ON CONFLICT (owner) DO UPDATE SET number = excluded.number, at = excluded.at"
)
"""What a transaction writes to be recognized. Its xid is not enough: after a crash, or on a promoted replica, a
server uses an xid again that it has never seen."""


@cache
def _left(topics: int) -> str:
    """Return a query for those of the topics that still have something to take."""
    known = [
        f"CASE WHEN EXISTS ({sql}) THEN {topic} ELSE 0 END" for topic, sql in LEFT.items() if topic & topics
    ]
    rest = topics & ~sum(LEFT)
    return f"SELECT {' + '.join([*known, str(rest)])}"


class _Stepped(Exception):
    """The server's clock was set.

    :ivar ahead: the stored offset.
    :ivar step: nanoseconds; 0 if this process is wrong instead.
    """

    def __init__(self, ahead: int, step: int) -> None:
        super().__init__("the server's clock was set")
        self.ahead, self.step = ahead, step


class PostgresConnection:
    """See `Connection`.

    :param owner: the session of the store.
    :param reads: it only reads.
    """

    failures: tuple[type[Exception], ...] = (psycopg.Error, _Stepped)

    def __init__(self, raw: Raw, options: Options, owner: str, clock: ServerClock, reads: bool) -> None:
        self._raw: Raw | None = raw
        self._pipeline = Pipeline(raw)
        self._options = options
        self._owner = owner
        self._clock = clock
        self._reads = reads
        self._pace = Pace()
        self._transaction: PostgresTransaction | None = None
        self._light = False
        self._seen = ""
        self._looks = 0
        self._commits = 0

    # --- begin ------------------------------------------------------------------------------

    def begin(self, operations: Sequence[Operation]) -> PostgresTransaction:
        ids = {id for operation in operations for id in operation.ids}
        keys = sorted({key(self._options.schema, "lock", id) for id in ids})
        self._light = all(each.light or each.topic for each in operations)
        try:
            self._connected(time.monotonic() + self._options.busy / 1e9)
            pipeline = self._pipeline
            begun = None if all(each.bare for each in operations) else self._begun(pipeline, keys)
        except psycopg.Error as exc:
            self._end(exc)
            raise Refused(self.explain(exc)) from exc
        except Error as exc:
            raise Refused(exc) from exc
        schema, owner = self._options.schema, self._owner
        self._transaction = transaction = PostgresTransaction(pipeline, schema, owner, begun, self._arrived)
        transaction.hold(keys)
        return transaction

    def _begun(self, pipeline: Pipeline, keys: list[int]) -> Reply:
        if self._reads:
            pipeline.send(READ)
            return pipeline.send(TIMES_OF_READ)
        pipeline.send("BEGIN")
        if keys:
            pipeline.send(LOCK, [keys])
        return pipeline.send(TIMES_OF_WRITE)

    def _connected(self, until: float) -> Raw:
        """Return the connection; a new one, if it was lost.

        :param until: when to give up, by `time.monotonic`.
        :raises psycopg.Error: the server could not be reached.
        """
        wait = SHORTEST_S
        while self._raw is None:
            try:
                self._raw = connect(self._options, self._prepare)
                self._pipeline = Pipeline(self._raw)
            except psycopg.Error as exc:
                if not may_connect(exc) or time.monotonic() > until:
                    raise
                time.sleep(wait * (0.5 + random.random()))
                wait = min(wait * 2, LONGEST_S)
        return self._raw

    def _prepare(self, raw: Raw) -> None:
        check_schema(raw, self._options)
        if not self._reads:
            by_index(raw)

    def _arrived(self, transaction: PostgresTransaction, begun: Reply, sent: int) -> None:
        """:raises _Stepped: the server's clock was set."""
        micros, ahead, seen, xid = begun.rows[0]
        now = micros * 1_000
        steady = now + ahead
        if not self._reads and (step := self._pace.step(steady, ahead, sent)):
            raise _Stepped(ahead, 0 if stood_still(step, steady, seen) else step)
        self._clock.heard(now, None if self._reads else steady, sent)
        transaction.show(now, steady, xid)

    # --- end --------------------------------------------------------------------------------

    def commit(self, transaction: Transaction) -> None:
        raw, mine = self._raw, self._transaction
        assert raw is not None
        assert mine is transaction
        if mine.is_bare:
            mine.wait()
            self._transaction = None
            return
        mine.arrive()  # without the xid, nobody could tell later whether it was committed
        self._transaction = None
        left = self._pipeline.send(_left(mine.doubtful)) if mine.doubtful else None
        light = self._light and not mine.lasting
        if light:
            self._pipeline.send("SET LOCAL synchronous_commit = off")
        elif mine.writes:
            self._commits += 1
            self._pipeline.send(MARK, [self._owner, self._commits, mine.steady])
        self._pipeline.send("COMMIT", prepare=False)
        try:
            mine.wait()
            if left is not None:
                mine.touched.topics = left.rows[0][0]
        except psycopg.Error as exc:
            if not is_lost(exc) or not mine.writes:
                raise
            self._end(exc)
            token = f"{mine.xid} {0 if light else self._commits}"
            happened = self._find_out(token)
            if happened is None:
                raise Unsure(self.explain(exc), token) from exc
            if not happened:
                raise
        if mine.xid and mine.xid == self._seen:
            self._seen = str(int(mine.xid) + 1)  # nobody else has changed anything: see `idle`

    def _find_out(self, token: str) -> bool | None:
        """Return whether a transaction whose connection was lost was committed; None if no server answers."""
        xid, _, number = token.partition(" ")
        until = time.monotonic() + self._options.busy / 1e9
        while time.monotonic() < until:
            try:
                raw = self._connected(until)
                row = raw.execute("SELECT pg_xact_status(%s::xid8)", (xid,)).fetchone()
                if row is not None and row[0] in ("committed", "aborted"):
                    return row[0] == "committed" and (number == "0" or self._is_marked(raw, int(number)))
            except psycopg.errors.InvalidParameterValue:
                return False  # the xid is in the future of a server that took over and has never seen it
            except (psycopg.Error, Error) as exc:
                self._end(exc)
                if not is_lost(exc):
                    return None
                continue
            time.sleep(SHORTEST_S)  # in progress: the server has not seen its end yet
        return None

    def _is_marked(self, raw: Raw, number: int) -> bool:
        """Return whether this was the last commit of the connection."""
        row = raw.execute("SELECT number FROM commits WHERE owner = %s", (self._owner,)).fetchone()
        return row == (number,)

    def happened(self, unsure: Unsure) -> bool | None:
        return self._find_out(unsure.token)

    def rollback(self) -> None:
        self._transaction = None
        self._pipeline.reset()
        if self._raw is not None and self._raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                self._pipeline.send("ROLLBACK", prepare=False)  # psycopg would forget prepared ones
                self._pipeline.wait()
            except psycopg.Error:
                self._close()

    def passes(self, failure: Exception, begun: float) -> bool:
        if isinstance(failure, _Stepped):
            return self._mended(failure)
        again = is_lost(failure) or getattr(failure, "sqlstate", None) in ("40001", "40P01", FORGOTTEN)
        if is_lost(failure):
            self._close()
        if again and time.monotonic() - begun < self._options.busy / 1e9:
            time.sleep(SHORTEST_S * random.random())
            return True
        return False

    def _mended(self, stepped: _Stepped) -> bool:
        """Correct the stored offset after a step of the server's clock; return False if that fails."""
        self._pace.forget()
        if stepped.step and self._raw is not None:
            try:
                self._raw.execute(
                    "UPDATE clock SET ahead = %s WHERE ahead = %s",
                    (stepped.ahead - stepped.step, stepped.ahead),
                )
            except psycopg.Error as exc:
                self._end(exc)
                return is_lost(exc)
        return True

    def _end(self, failure: BaseException) -> None:
        """End the transaction after a failure, and the connection if it was lost."""
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
