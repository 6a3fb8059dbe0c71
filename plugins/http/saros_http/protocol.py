"""HTTP/1.1 on the wire: uvicorn's, with patience that ends and answers that are problems."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .problem import WIRE, problem_body

_REFUSALS: Final = {
    431: "The head of the request is too large.",
    501: "The server does not know this transfer encoding.",
}


class Wire:
    """A transport that can hold back what is written: a response's head then leaves together with its body."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] | None = None
        self.write: Callable[[bytes], None] = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold(self) -> None:
        if self._held is None:
            self._held = []
            self.write = self._held.append

    def release(self) -> None:
        held, self._held = self._held, None
        self.write = self._transport.write
        if held:
            self._transport.write(b"".join(held))

    def close(self) -> None:
        self.release()
        self._transport.close()


class Protocol(H11Protocol):
    """See `configured`."""

    header_s = 10.0
    max_connections = 10_000
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.wire = Wire(transport)
        super().connection_made(self.wire)  # type: ignore[arg-type]
        if len(self.connections) > self.max_connections:
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        scope: Any = self.scope
        if scope is not None:
            scope[WIRE] = self.wire
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._expect_head()
        else:  # it has come; or the connection is idle until the next request begins
            self._unwatch()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # a client that does not take its response
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _expect_head(self) -> None:
        """Have a request's head come in time, from its first byte on (or from the connection)."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.header_s, self._too_slow)

    def _unwatch(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0] and self.conn.their_state is h11.IDLE:
            self._refuse(408, "The request did not arrive in time.")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP. Called while the error of h11 is handled, which knows the status."""
        status = getattr(sys.exc_info()[1], "error_status_hint", 400)
        detail = _REFUSALS.get(status)
        self._refuse(*((status, detail) if detail else (400, "This is no valid HTTP/1.1 request.")))

    def _refuse(self, status: int, detail: str) -> None:
        body = problem_body(status, detail)
        headers: Any = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        with contextlib.suppress(h11.LocalProtocolError):  # a response is on its way already
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def configured(header_seconds: float, connections: int) -> type[Protocol]:
    """The protocol of one server.

    :param header_seconds: for a request's head.
    :param connections: open at once; more are cut.
    """

    class Configured(Protocol):
        header_s = header_seconds
        max_connections = connections

    return Configured
