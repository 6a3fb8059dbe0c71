"""Middleware between a server and the endpoints of a router, or static files."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.requests import cookie_parser
from starlette.responses import Response

from saros.entries import Entry, parse_duration

from ..problem import Asgi, HttpError, Receive, Scope, Send, header_of, pairs_of, problem_body, send_problem
from .addresses import Address, address_of, origin_of
from .endpoint import MAX_QUERY, TIMEOUT
from .negotiation import takes_gzip

Wrap = Callable[[Asgi], Asgi]

MAX_CLIENTS: Final = 10_000
"""The most clients that a rate limit remembers."""


def chain(entry: Entry) -> Wrap:
    """Return the middleware of a router or of static files; the first one in the entry is the outermost."""
    wraps = [_MAKERS[name](entry.get(f"options.{name}") or {}) for name in entry.get("middleware", [])]

    def wrap(app: Asgi) -> Asgi:
        for layer in reversed(wraps):
            app = layer(app)
        return app

    return wrap


class _Cors(CORSMiddleware):
    """Starlette's middleware, except that preflight responses have no body and refusals are problems."""

    def preflight_response(self, request_headers: Any) -> Response:
        answer = super().preflight_response(request_headers=request_headers)
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        if answer.status_code < 400:
            return Response(status_code=204, headers=headers)
        body = problem_body(answer.status_code, f"{bytes(answer.body).decode()}.")
        return Response(body, answer.status_code, headers, "application/problem+json")


def _cors(options: dict[str, Any]) -> Wrap:
    methods = options.get("methods") or ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    origins = options.get("origins") or ["*"]
    patterns = [_origin_pattern(origin) for origin in origins if "*" in origin and origin != "*"]

    def wrap(app: Asgi) -> Asgi:
        layer: Any = _Cors(
            app,
            allow_origins=origins,
            allow_origin_regex="|".join(patterns) or None,
            allow_methods=[method.upper() for method in methods],
            allow_headers=options.get("headers") or ["*"],
            allow_credentials=options.get("credentials", False),
            expose_headers=options.get("expose", []),
            max_age=parse_duration(options.get("max_age", "10m")) // 1_000_000_000,
        )
        result: Asgi = layer
        return result

    return wrap


def _origin_pattern(origin: str) -> str:
    """Return a pattern for an origin; ``*.shop.example``, with or without a scheme, matches all subdomains."""
    scheme, mark, host = origin.rpartition("://")
    start = re.escape(scheme + mark) if mark else "https?://"
    end = "" if re.search(r":\d+$", host) else r"(?::\d+)?"
    return f"(?:{start}{re.escape(host).replace(re.escape('*'), '[A-Za-z0-9.-]+')}{end})"


_LEVELS: Final = {"fastest": 1, "default": 6, "best": 9}


def _compress(options: dict[str, Any]) -> Wrap:
    size = options.get("min_size", 1024)
    level = options.get("level", "default")
    number = _LEVELS[level] if level in _LEVELS else int(level)

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            responder: Any
            if takes_gzip(header_of(scope, b"accept-encoding")):
                responder = GZipResponder(app, size, compresslevel=number)
            else:
                responder = IdentityResponder(app, size)  # adds the Vary header
            await responder(scope, receive, send)

        return layer

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
    """Token buckets, one for each client; the least recently used are dropped first.

    :param rate: tokens per second.
    :param burst: the capacity of a bucket.
    :param most: the most clients that are remembered.
    """

    def __init__(self, rate: float, burst: int, most: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # client -> tokens left, and when

    def take(self, client: str, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until there is one."""
        left, then = self._buckets.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) * self._rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._rate
        self._buckets[client] = (left if wait else left - 1.0, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait


def _ratelimit(options: dict[str, Any]) -> Wrap:
    rate, burst = float(options.get("rate", 10)), options.get("burst", 20)
    if "requests" in options:
        requests = options["requests"]
        rate = requests / (parse_duration(options.get("window", "1m")) / 1e9)
        burst = options.get("burst", min(20, requests))
    buckets = Buckets(rate, burst, options.get("max_entries", MAX_CLIENTS))
    client_of = _client_key(options.get("key", "ip"))

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            wait = buckets.take(client_of(scope), time.monotonic())
            if wait:
                again = {"Retry-After": str(int(wait) + 1)}
                await send_problem(scope, send, HttpError(429, "Too many requests.", again))
                return
            await app(scope, receive, send)

        return layer

    return wrap


def _client_key(strategy: str) -> Callable[[Scope], str]:
    """Return a function that returns a client's key; without the header or parameter, the key is its address."""
    kind, _, name = strategy.partition(":")

    def key(scope: Scope) -> str:
        if kind == "header":
            given = header_of(scope, name.lower().encode("latin-1"))
        elif kind == "query":
            given = _parameter(scope, name)
        else:
            given = None
        if given:  # as a digest, because a client may send a long text
            return f"{kind} {_digest(given.encode()).hex()}"
        address = address_of(scope["client"][0]) if scope.get("client") else None
        return str(address or "")

    return key


def _parameter(scope: Scope, name: str) -> str | None:
    try:
        return next((value for key, value in pairs_of(scope["query_string"], MAX_QUERY) if key == name), None)
    except ValueError:
        return None


def _real_ip(options: dict[str, Any]) -> Wrap:
    networks = options.get("trusted") or ["127.0.0.0/8", "::1/128"]
    if options.get("trust_all"):
        networks = ["0.0.0.0/0", "::/0"]
    trusted = [ipaddress.ip_network(text, strict=False) for text in networks]
    name = options.get("header", "X-Forwarded-For").lower().encode("latin-1")

    def is_trusted(address: Address) -> bool:
        return any(address in network for network in trusted)

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            client = scope.get("client")
            peer = address_of(client[0]) if client else None
            if client and peer is not None and is_trusted(peer):
                scope["client"] = (str(origin_of(scope, name, is_trusted) or peer), client[1])
            await app(scope, receive, send)

        return layer

    return wrap


def _token_auth(options: dict[str, Any]) -> Wrap:
    # Digests have the same length, so that a comparison does not reveal the length of a token.
    known = [_digest(token.encode()) for token in options["tokens"]]
    challenge = {"WWW-Authenticate": f'Bearer realm="{options.get("realm", "saros")}"'}
    token_of = _token_reader(options)

    def wrap(app: Asgi) -> Asgi:
        async def layer(scope: Scope, receive: Receive, send: Send) -> None:
            token = token_of(scope)
            given = _digest((token or "").encode("latin-1", "replace"))
            matches = [
                hmac.compare_digest(given, digest) for digest in known
            ]  # always compare with all of them
            if token is None or not any(matches):
                await send_problem(scope, send, HttpError(401, "A valid token is needed.", challenge))
                return
            await app(scope, receive, send)

        return layer

    return wrap


def _token_reader(options: dict[str, Any]) -> Callable[[Scope], str | None]:
    """Return a function that reads a request's token: from a header, else from the configured parameter or cookie."""
    header = options.get("header_name", "Authorization").lower().encode("latin-1")
    prefix = options.get("header_prefix", "Bearer" if header == b"authorization" else "").strip().lower()

    def token(scope: Scope) -> str | None:
        given = header_of(scope, header)
        if given is not None:
            scheme, _, rest = given.partition(" ") if prefix else ("", "", given)
            return rest.strip() if scheme.lower() == prefix else None
        if "query_param" in options and (given := _parameter(scope, options["query_param"])) is not None:
            return given
        if "cookie_name" in options:
            return cookie_parser(header_of(scope, b"cookie") or "").get(options["cookie_name"])
        return None

    return token


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
