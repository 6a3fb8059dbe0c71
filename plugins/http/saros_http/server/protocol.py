"""HTTP/1.1 on the wire: llhttp parses, uvicorn serves, and this module adds the limits that neither of them has.

These are a limit for the size of a head, a time limit for heads and bodies that stop half-way, the exact framing of
bodies, and error responses that are problems.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ..config.kinds import METHODS
from ..problem import TARGET, WIRE, problem_body
from .wire import Wire

DRAIN_S: Final = 5.0
"""The limits in time and size for the unread rest of a body, once the response was sent."""
DRAIN_BYTES: Final = 1 << 20
WAITING: Final = 64
"""How many requests of one connection may queue before reading pauses."""

_HOST: Final = re.compile(rb"[^\x00-\x20\x7f-\xff/?#@\\,]*")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_REQUEST_LINE: Final = re.compile(rb"[\w!#$%&'*+.^`|~-]+ \S+ HTTP/1\.[01]\r\n", re.ASCII)
_VERSIONS: Final = ("0.0", "1.0", "1.1")  # the first one: no version read yet


class Phase(Enum):
    """What comes next from a client."""

    IDLE = auto()  # nothing, until the next request
    HEAD = auto()
    BODY = auto()


class RefusedError(Exception):
    """Raised in a callback of the parser to stop parsing."""


class Flow(FlowControl):
    """Stops reading while many requests are queued, so that a client cannot fill the memory with them."""

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read

    def resume_reading(self) -> None:
        if self._may_read():
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    """See `configured`."""

    header_s = 10.0
    max_head = 64 << 10
    max_connections = 10_000

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.wire = Wire(transport, self._is_sending)
        self._phase = Phase.HEAD
        self._size = 0  # bytes received of the head, or of a body that nobody reads
        self._shared = False  # whether the latest bytes also hold the end of the previous request
        self._latest = b""  # the bytes being parsed
        self._deaf = False  # whether further bytes are ignored
        self._refusal: tuple[int, str] | None = None
        self._open: deque[RequestResponseCycle] = (
            deque()
        )  # requests without a complete response; the first one runs
        self._timer: tuple[Phase, asyncio.TimerHandle] | None = None
        super().connection_made(self.wire)  # type: ignore[arg-type]
        self.flow = Flow(transport, lambda: len(self._open) < WAITING)
        if len(self.connections) > self.max_connections:
            transport.abort()
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deaf = True
        self._watch()
        self.wire.closed()
        for cycle in self._open:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    # --- input ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._deaf or self.wire.is_closing():
            return
        if self._phase is Phase.IDLE:
            self._begin(shared=False)
        before = self._phase
        self._latest = data
        super().data_received(data)
        self._latest = b""
        if self._phase is Phase.HEAD and not self._shared:
            self._size += len(data)
            if self._size > self.max_head and not self._deaf:
                self._refuse(431, "The head of the request is too large.")
        elif before is Phase.BODY and self._phase is Phase.BODY and not self._open:
            self._size += len(data)
            if self._size > DRAIN_BYTES:
                self._deaf = True
                self.wire.close()
        self._shared = False
        self._watch()

    def _begin(self, shared: bool) -> None:
        self._phase, self._size, self._length, self._shared = Phase.HEAD, int(shared), 0, shared

    def on_message_begin(self) -> None:
        if self._phase is not Phase.HEAD:
            self._begin(shared=True)
        self._length = 0
        super().on_message_begin()
        self.scope[WIRE] = self.wire  # type: ignore[literal-required]

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:  # trailers are ignored
            self._count(len(name) + len(value) + 4)
            super().on_header(name, value.rstrip(b" \t"))

    def _count(self, size: int) -> None:
        self._length += size
        if self._length > self.max_head:
            raise self._refused(431, "The head of the request is too large.")

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        hosts = [value for name, value in self.headers if name == b"host"]
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise self._refused(400, "A request has exactly one Host header.")
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise self._refused(400, "The Host header is not a valid host.")
        if codings and version != "1.1":
            raise self._refused(400, "Only HTTP/1.1 has a transfer encoding.")
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            raise self._refused(501, "The server does not know this transfer encoding.")
        if self.parser.get_method() == b"CONNECT":
            raise self._refused(404, "There is nothing here.")
        if absolute := _ABSOLUTE.match(self.url):
            self.scope[TARGET] = absolute[0]  # type: ignore[literal-required]
            self.url = b"/" + self.url[absolute.end() :].removeprefix(b"/")
        super().on_headers_complete()
        self._phase, self._size = Phase.BODY, 0
        self._open.append(self.cycle)
        if self.parser.should_upgrade():  # the bytes after the request may be in another protocol
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase, self._size = Phase.IDLE, 0
        self._deaf = self.parser.should_upgrade()

    def on_response_complete(self) -> None:
        if self._open:
            self._open.popleft()
        super().on_response_complete()
        self._watch()

    def _unsupported_upgrade_warning(self) -> None:
        """Do nothing: a client that asks for another protocol gets a response in this one."""

    def _is_sending(self) -> bool:
        return self._phase is Phase.BODY or self._size > 0 or bool(self._latest)

    # --- time limits ------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Limit the time for the rest of a head, or of a body that nobody waits for."""
        wanted = None if self._deaf or self._open or self._phase is Phase.IDLE else self._phase
        if self._timer is not None and self._timer[0] is not wanted:
            self._timer[1].cancel()
            self._timer = None
        if wanted is not None and self._timer is None:
            seconds = self.header_s if wanted is Phase.HEAD else DRAIN_S
            self._timer = wanted, self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self._phase is Phase.HEAD and self._size:
            self._refuse(408, "The request did not arrive in time.")
        elif not self.wire.is_closing():
            self._deaf = True
            self.wire.close()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # the client does not read its response
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # --- refusals ---------------------------------------------------------------------------------

    def _refused(self, status: int, detail: str) -> RefusedError:
        self._refusal = status, detail
        return RefusedError(detail)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser or `_refused` has rejected."""
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif _REQUEST_LINE.match(self._latest) and self._unknown_method():
            self._refuse(405, "The server does not know this method.")
        elif self._phase is Phase.HEAD and self.parser.get_http_version() not in _VERSIONS:
            self._refuse(505, "This server speaks HTTP/1.1.")
        else:
            self._refuse(400, "This is not a valid HTTP/1.1 request.")

    @staticmethod
    def _unknown_method() -> bool:
        return isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError)

    def _refuse(self, status: int, detail: str) -> None:
        self._deaf = True
        self._watch()
        if self.wire.is_closing():
            return
        mine = self._phase is Phase.BODY  # the error is in the body of the latest request
        if mine and not self._open:
            self.wire.close()
        elif mine and len(self._open) == 1:
            cycle = self._open[0]
            cycle.disconnected = True
            cycle.message_event.set()
            if not cycle.response_started:
                self.wire.write(_refusal(status, detail))
            self.wire.close()
        elif self._open:  # a response is in progress: make it the last one
            self._open[-2 if mine else -1].keep_alive = False
        else:
            self.wire.write(_refusal(status, detail))
            self.wire.close()


def _refusal(status: int, detail: str) -> bytes:
    body = problem_body(status, detail)
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if status == 405:
        head.append(f"allow: {', '.join(METHODS)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def configured(header_seconds: float, header_bytes: int, connections: int) -> type[Protocol]:
    """Return the protocol class of one server.

    :param header_seconds: the time limit for a request's head.
    :param header_bytes: the size limit of a request's head.
    :param connections: the most open connections; the server closes further ones.
    """

    class Configured(Protocol):
        header_s = header_seconds
        max_head = header_bytes
        max_connections = connections

    return Configured
