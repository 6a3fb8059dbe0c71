"""What stands between a server and the endpoints of a router."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from saros.entries import Entry, parse_duration

from .endpoint import TIMEOUT
from .problem import Asgi, HttpError, Receive, Scope, Send, header_of, send_problem

Wrap = Callable[[Asgi], Asgi]

MAX_CLIENTS: Final = 10_000
"""Client addresses that a rate limit remembers."""


def chain(router: Entry) -> Wrap:
    """The middleware of a router; the first that it names is the outermost."""
    wraps = [_MAKERS[name](router.get(f"options.{name}") or {}) for name in router.get("middleware", [])]

    def wrap(app: Asgi) -> Asgi:
        for layer in reversed(wraps):
            app = layer(app)
        return app

    return wrap


def _cors(options: dict[str, Any]) -> Wrap:
    methods = options.get("methods") or ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

    def wrap(app: Asgi) -> Asgi:
        layer: Any = CORSMiddleware(
            app,
            allow_origins=options["origins"],
            allow_methods=methods,
            allow_headers=options.get("headers") or ["*"],
            allow_credentials=options.get("credentials", False),
            expose_headers=options.get("expose", []),
            max_age=parse_duration(options.get("max_age", "10m")) // 1_000_000_000,
        )
        result: Asgi = layer
        return result

    return wrap


def _compress(options: dict[str, Any]) -> Wrap:
    def wrap(app: Asgi) -> Asgi:
        layer: Any = GZipMiddleware(app, minimum_size=options.get("min_size", 1024), compresslevel=6)
        result: Asgi = layer
        return result

    return wrap


def _timeout(options: dict[str, Any]) -> Wrap:
    seconds = parse_duration(options.get("after", "30s")) / 1e9

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TIMEOUT] = seconds
            await app(scope, receive, send)

        return layer

    return wrap


class Buckets:
    """Token buckets, one for each client address; the longest unused are forgotten first.

    :param rate: tokens per second.
    :param burst: what a bucket holds.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, when

    def take(self, client: str, now: float) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        left, then = self._buckets.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) * self._rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._rate
        self._buckets[client] = (left if wait else left - 1.0, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return wait


def _ratelimit(options: dict[str, Any]) -> Wrap:
    buckets = Buckets(float(options.get("rate", 10)), options.get("burst", 20))

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            client = scope["client"][0] if scope.get("client") else ""
            wait = buckets.take(client, time.monotonic())
            if wait:
                again = {"Retry-After": str(int(wait) + 1)}
                await send_problem(scope, send, HttpError(429, "Too many requests.", again))
                return
            await app(scope, receive, send)

        return layer

    return wrap


def _real_ip(options: dict[str, Any]) -> Wrap:
    trusted = [
        ipaddress.ip_network(text, strict=False)
        for text in options.get("trusted") or ["127.0.0.0/8", "::1/128"]
    ]
    name = options.get("header", "X-Forwarded-For").lower().encode("latin-1")

    def is_trusted(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in trusted)

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            client = scope.get("client")
            if client and is_trusted(client[0]):
                scope["client"] = (_origin(scope, name, is_trusted) or client[0], client[1])
            await app(scope, receive, send)

        return layer

    return wrap


def _origin(scope: Scope, name: bytes, is_trusted: Callable[[str], bool]) -> str | None:
    """The address nearest to us that is none of our proxies; what is left of it anybody may have written."""
    hops: list[str] = [
        hop.strip()
        for key, value in scope["headers"]
        if key == name
        for hop in value.decode("latin-1").split(",")
    ]
    for hop in reversed(hops):
        try:
            ipaddress.ip_address(hop)
        except ValueError:
            return None
        if not is_trusted(hop):
            return hop
    return None


def _token_auth(options: dict[str, Any]) -> Wrap:
    # Digests are of one length, so that comparing tells nothing about that of the tokens.
    known = [_digest(token.encode()) for token in options["tokens"]]
    challenge = {"WWW-Authenticate": f'Bearer realm="{options.get("realm", "saros")}"'}

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            scheme, _, token = (header_of(scope, b"authorization") or "").partition(" ")
            given = _digest(token.strip().encode("latin-1"))
            matches = [hmac.compare_digest(given, digest) for digest in known]  # all, whichever it is
            if scheme.lower() != "bearer" or not any(matches):
                await send_problem(scope, send, HttpError(401, "A valid token is needed.", challenge))
                return
            await app(scope, receive, send)

        return layer

    return wrap


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


_MAKERS: Final[dict[str, Callable[[dict[str, Any]], Wrap]]] = {
    "cors": _cors,
    "compress": _compress,
    "ratelimit": _ratelimit,
    "real_ip": _real_ip,
    "timeout": _timeout,
    "token_auth": _token_auth,
}
