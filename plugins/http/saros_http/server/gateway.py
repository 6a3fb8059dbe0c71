"""The outermost layer of a server: request ids, routes, the access log, counts and errors."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from random import getrandbits
from typing import Final, NamedTuple

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
from ..routing.endpoint import PARAMS
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


class Gateway:
    def __init__(self, name: str, routes: Routes, metrics: Metrics, limits: Limits, access_log: bool) -> None:
        self._name = name
        self._routes = routes
        self._metrics = metrics
        self._limits = limits
        self._access_log = access_log
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        given = header_of(scope, b"x-request-id")
        request_id = given if given and _ID.fullmatch(given) else f"{getrandbits(128):032x}"
        scope[REQUEST_ID] = request_id
        status, size, route, asked = 0, 0, "-", False
        wire = scope[WIRE]

        async def receive_on() -> Message:
            nonlocal asked
            asked = True
            return await receive()

        async def send_on(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                if not asked and header_of(scope, b"expect") is not None:
                    # The client waits for "100 Continue": the next bytes may be its body or another request.
                    message["headers"].append((b"connection", b"close"))
            else:
                size += len(message.get("body", b""))
            wire.hold()  # until the first part of the body, so that both leave together
            try:
                async with asyncio.timeout(self._limits.write or None):
                    await send(message)
            except TimeoutError:
                wire.abort()
                raise Disconnected from None
            if message["type"] == "http.response.body":
                wire.release()

        self._active += 1
        self._metrics.active += 1
        try:
            if self._active > self._limits.requests:
                raise HttpError(503, "The server is busy.", {"Retry-After": "1"})
            if scope["http_version"] not in ("1.1", "1.0"):
                raise HttpError(505, "This server speaks HTTP/1.1.", {"Connection": "close"})
            if TARGET in scope:
                _require_ours(scope)
            resource, params = self._routes.find(scope["raw_path"].decode("latin-1"), scope["method"])
            route = resource.pattern.text
            scope[PARAMS] = params
            await resource.app(scope, receive_on, send_on)
        except HttpError as error:
            await send_problem(scope, send_on, error)
        except Disconnected:
            status = CLIENT_CLOSED
        except asyncio.CancelledError:  # the time to stop is over
            if status:
                raise
            await send_problem(
                scope, send_on, HttpError(503, "The server is stopping.", {"Connection": "close"})
            )
        except Exception:
            log.exception("%s failed [%s]", self._name, request_id)
            if status:
                raise  # the connection is cut
            await send_problem(scope, send_on, HttpError(500, "The server could not answer."))
        finally:
            self._active -= 1
            self._metrics.active -= 1
            took = time.perf_counter() - began
            self._metrics.note(self._name, scope["method"], route, status or CLIENT_CLOSED, took)
            if self._access_log:
                self._log(scope, status or CLIENT_CLOSED, size, took)

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
