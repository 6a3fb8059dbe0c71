"""Statements of a connection that share round trips.

They are sent together when one of them is waited for. psycopg's own pipelines send each statement by itself, which
costs more than it saves when the server is near.
"""

from __future__ import annotations

import contextlib
import select
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import psycopg
from psycopg import pq

from .arrays import Array
from .driver import STATEMENTS, Raw

FORGOTTEN: Final = "26000"
"""The SQLSTATE for an unknown prepared statement, as after DISCARD ALL."""
_BOOL, _BYTES, _INT, _UNKNOWN, _FLOAT = 16, 17, 20, 0, 701
"""Type numbers of parameters. The server infers the type of a text from its place in the statement."""
_OK: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Reply:
    """The reply to a statement, empty until `Pipeline.wait` returns.

    :ivar count: how many rows the statement changed or found.
    """

    __slots__ = ("count", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.count = 0


class Pipeline:
    """The pipeline of one connection."""

    def __init__(self, raw: Raw) -> None:
        self._connection: Any = raw.pgconn
        self._prepared: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._sent: list[tuple[Reply | None, Callable[[], None] | None]] = []
        self._number = 0

    def send(self, sql: str, args: Sequence[Any] = (), *, prepare: bool = True) -> Reply:
        """Add a statement, which runs at the next `wait` at the latest.

        :param prepare: whether to keep it prepared.
        :raises psycopg.DataError: PostgreSQL has no such value.
        """
        given = [_encoded(arg) for arg in args]
        types = tuple(kind for kind, _, _ in given)
        values = [value for _, _, value in given]
        formats = [form for _, form, _ in given]
        connection = self._connection
        if not self._sent:
            connection.enter_pipeline_mode()
        name = self._prepared.get((sql, types))
        reply = Reply()
        if name is None and prepare and len(self._prepared) < STATEMENTS:
            self._number += 1
            new = b"saros%d" % self._number
            connection.send_prepare(new, numbered(sql), types)
            self._sent.append((None, lambda: self._prepared.__setitem__((sql, types), new)))
            name = new
        if name is None:
            connection.send_query_params(numbered(sql), values, types, formats, pq.Format.BINARY)
        else:
            connection.send_query_prepared(name, values, formats, pq.Format.BINARY)
        self._sent.append((reply, None))
        return reply

    def wait(self) -> None:
        """Send what is left, and wait for all replies.

        :raises psycopg.Error: the error of the first statement that failed. Those after it did not run.
        """
        if not self._sent:
            return
        connection, sent = self._connection, self._sent
        connection.pipeline_sync()
        failure: psycopg.Error | None = None
        for reply, prepared in sent:
            result = self._next()
            if result is None:
                raise failure or psycopg.OperationalError("the connection was lost")
            if result.status not in _OK:
                failure = failure or _error(result)
            elif prepared is not None:
                prepared()
            elif reply is not None:
                reply.rows = _rows(result)
                reply.count = result.command_tuples or 0
            while result is not None and self._next() is not None:
                pass
        self._next()  # the end of the pipeline
        self._sent = []
        connection.exit_pipeline_mode()
        if failure is not None:
            if failure.sqlstate == FORGOTTEN:
                self._prepared.clear()
            raise failure

    def reset(self) -> None:
        """Wait for all replies, and drop them."""
        with contextlib.suppress(psycopg.Error):
            self.wait()

    def _next(self) -> Any:
        """Return the next result; None after the last one of a statement."""
        connection = self._connection
        poll = None
        while connection.is_busy() or connection.flush():
            if poll is None:
                poll = select.poll()
                poll.register(connection.socket, select.POLLIN)
            poll.modify(connection.socket, select.POLLIN | (select.POLLOUT if connection.flush() else 0))
            poll.poll()
            connection.consume_input()
        return connection.get_result()


@cache
def numbered(sql: str) -> bytes:
    """Return a statement with ``$1`` in place of the first ``?``, and so on."""
    first, *others = sql.split("?")
    return "".join([first, *(f"${number}{part}" for number, part in enumerate(others, 1))]).encode()


# --- values -------------------------------------------------------------------------------------


def _encoded(value: Any) -> tuple[int, pq.Format, bytes | None]:
    """Return type number, format and bytes of a parameter."""
    kind = type(value)
    if value is None:
        return _UNKNOWN, pq.Format.TEXT, None
    if kind is int:
        if not -(1 << 63) <= value < 1 << 63:
            raise psycopg.DataError(f"{value} is not a number of 64 bits")
        return _INT, pq.Format.BINARY, value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        return _UNKNOWN, pq.Format.TEXT, _text(value)
    if kind is bool:
        return _BOOL, pq.Format.BINARY, b"\1" if value else b"\0"
    if kind is float:
        return _FLOAT, pq.Format.BINARY, struct.pack("!d", value)
    if kind is Array:
        return value.type, pq.Format.BINARY, value.encoded(lambda each: _encoded(each)[2])
    if kind is list:
        return _UNKNOWN, pq.Format.TEXT, b"{%s}" % b",".join(map(_element, value))
    if isinstance(value, int):
        return _encoded(int(value))
    return _BYTES, pq.Format.BINARY, bytes(value)


def _text(value: str) -> bytes:
    """Encode a text; PostgreSQL allows no NUL in it."""
    return (value.replace("\0", "\ufffd") if "\0" in value else value).encode()


def _element(value: int | str) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    return b'"%s"' % _text(value).replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _float(data: bytes) -> float:
    number: float = struct.unpack("!d", data)[0]
    return number


_DECODERS: Final[dict[int, Callable[[bytes], Any]]] = {
    16: lambda data: data == b"\1",
    17: bytes,
    19: bytes.decode,
    20: _number,
    21: _number,
    23: _number,
    25: bytes.decode,
    701: _float,
    705: bytes.decode,
    1043: bytes.decode,
    2278: lambda data: None,
}
"""Decoders for the types in our results, by PostgreSQL's type numbers."""


def _rows(result: Any) -> list[tuple[Any, ...]]:
    columns = [(column, _DECODERS[result.ftype(column)]) for column in range(result.nfields)]
    value = result.get_value
    return [
        tuple([None if (data := value(row, column)) is None else decode(data) for column, decode in columns])
        for row in range(result.ntuples)
    ]


def _error(result: Any) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    text = result.error_message.decode(errors="replace").removeprefix("ERROR:").strip()
    if not state:  # the error is libpq's own: the connection was lost
        return psycopg.OperationalError(text)
    try:
        return psycopg.errors.lookup(state)(text)
    except KeyError:
        return psycopg.DatabaseError(text)
