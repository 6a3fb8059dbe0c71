"""The outermost layer of a server: request ids, routes, the access log, counts and errors."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from random import getrandbits
from typing import Final, NamedTuple

from saros.interfaces.deployment import Deployment
from saros.interfaces.observer import Span

from ..problem import (
    REQUEST_ID,
    TARGET,
    WIRE,
    Disconnected,
    HttpError,
    Message,
    Receive,
    Scope,
    Send,
    header_of,
    send_problem,
)
from ..routing.endpoint import PARAMS, TRACE
from ..routing.routes import Routes
from .metrics import Metrics

log = logging.getLogger("saros.http")
access = logging.getLogger("saros.http.access")

_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_PORTS: Final = {"http": ":80", "https": ":443"}
CLIENT_CLOSED: Final = 499
"""The status in log and metrics of a request whose client disconnected before the response."""


class Limits(NamedTuple):
    """:param requests: the most requests in progress; the server refuses more.
    :param write: seconds for a client to read a part of a response; 0 for no limit.
    """

    requests: int
    write: float


class _Request:
    """A request on its way through the server, and what was sent of its response.

    :param write_s: see `Limits.write`.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, write_s: float) -> None:
        given = header_of(scope, b"x-request-id")
        self.id = given if given and _ID.fullmatch(given) else f"{getrandbits(128):032x}"
        scope[REQUEST_ID] = self.id
        self.scope = scope
        self.status, self.size, self.route = 0, 0, "-"
        self._receive = receive
        self._send = send
        self._write_s = write_s
        self._wire = scope[WIRE]
        self._asked = False  # for its body

    async def receive(self) -> Message:
        self._asked = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        """:raises Disconnected: when the client takes nothing for too long."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.id.encode())]
            if not self._asked and header_of(self.scope, b"expect") is not None:
                # It waits for leave to send its body: what comes next may be that, or another request.
                message["headers"].append((b"connection", b"close"))
        else:
            self.size += len(message.get("body", b""))
        self._wire.hold()  # until there is a part of the body, which leaves with what goes before and after it
        try:
            async with asyncio.timeout(self._write_s or None):
                await self._send(message)
        except TimeoutError:
            self._wire.abort()
            raise Disconnected from None
        if message["type"] == "http.response.body":
            self._wire.release()

    async def refuse(self, error: HttpError) -> None:
        await send_problem(self.scope, self.send, error)


class Gateway:
    def __init__(
        self,
        name: str,
        routes: Routes,
        metrics: Metrics,
        limits: Limits,
        access_log: bool,
        deployment: Deployment,
    ) -> None:
        self._name = name
        self._deployment = deployment
        self._routes = routes
        self._metrics = metrics
        self._limits = limits
        self._access_log = access_log
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        request = _Request(scope, receive, send, self._limits.write)
        span = self._begin(scope)
        self._active += 1
        self._metrics.active.inc()
        try:
            await self._answer(request)
        except HttpError as error:
            await request.refuse(error)
        except Disconnected:
            request.status = CLIENT_CLOSED
        except asyncio.CancelledError:  # the server has waited long enough
            if request.status:
                raise
            await request.refuse(HttpError(503, "The server is stopping.", {"Connection": "close"}))
        except Exception:
            log.exception("%s failed [%s]", self._name, request.id)
            if request.status:
                raise  # the connection is cut
            await request.refuse(HttpError(500, "The server could not answer."))
        finally:
            self._active -= 1
            self._metrics.active.dec()
            took = time.perf_counter() - began
            status = request.status or CLIENT_CLOSED
            if span is not None:
                span.route(request.route)
                span.end(str(status))
            self._metrics.note(self._name, scope["method"], request.route, status, took)
            if self._access_log:
                self._log(scope, status, request.size, took)

    async def _answer(self, request: _Request) -> None:
        """Have the resource of its route answer.

        :raises HttpError: when there is none, or the request cannot be taken.
        """
        scope = request.scope
        if self._active > self._limits.requests:
            raise HttpError(503, "The server is busy.", {"Retry-After": "1"})
        if scope["http_version"] not in ("1.1", "1.0"):
            raise HttpError(505, "This server speaks HTTP/1.1.", {"Connection": "close"})
        if TARGET in scope:
            _require_ours(scope)
        resource, params = self._routes.find(scope["raw_path"].decode("latin-1"), scope["method"])
        request.route = resource.pattern.text
        scope[PARAMS] = params
        await resource.app(scope, request.receive, request.send)

    def _begin(self, scope: Scope) -> Span | None:
        """Tell whoever observes of a request."""
        observer = self._deployment.observer
        if observer is None:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = observer.request(self._name, scope["method"], headers)
        scope[TRACE] = span.trace
        return span

    def _log(self, scope: Scope, status: int, size: int, took: float) -> None:
        if access.isEnabledFor(logging.INFO):
            client = scope["client"][0] if scope.get("client") else "-"
            path = scope["raw_path"].decode("latin-1")
            access.info(
                "%s %s %d %d bytes %.1f ms %s [%s]",
                *(scope["method"], path, status, size, took * 1000, client, scope[REQUEST_ID]),
            )


def _require_ours(scope: Scope) -> None:
    """Refuse an absolute target (``GET http://host/path``) for another host than the request names: this is no proxy.

    :raises HttpError: 404.
    """
    scheme, _, host = scope[TARGET].decode("latin-1").lower().partition("://")
    port = _PORTS.get(scheme)
    given = (header_of(scope, b"host") or host).lower()
    if port is None or host.removesuffix(port) != given.removesuffix(port):
        raise HttpError(404, "There is nothing here.")
