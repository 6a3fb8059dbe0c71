"""The kinds ``http.service``, ``http.router``, ``http.endpoint`` and ``http.static``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from saros.entries import (
    Choice,
    Data,
    Duration,
    Entry,
    Flag,
    Kind,
    ListOf,
    Number,
    Problem,
    Reference,
    Registry,
    Source,
    Table,
    Text,
)

from .middleware_options import Options
from .strict import slips_of, unknown_in
from .tls import TLS, check_tls

SERVICE: Final = "http.service"
ROUTER: Final = "http.router"
ENDPOINT: Final = "http.endpoint"
STATIC: Final = "http.static"

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
MIDDLEWARE: Final = ("real_ip", "ratelimit", "cors", "token_auth", "compress", "timeout")
MAX_BODY: Final = 8 << 20

_ADDR: Final = Text(
    pattern=r"(\[[0-9a-fA-F:.]+\]|[^\s:/]*):\d{1,5}",
    form='an address such as "127.0.0.1:8080" or ":8080"',
    required=True,
    doc="host:port; port 0 means any free port.",
)
_PATH: Final = r"/[^\s?#]*"

TIMEOUTS: Final = Table(
    {
        "header": Duration(default="10s", positive=True, doc="For a client to send a request's head."),
        "read": Duration(default="30s", doc="For a client to send a request's body; 0 is off."),
        "write": Duration(default="30s", doc="For a client to read a part of a response; 0 is off."),
        "idle": Duration(default="75s", positive=True, doc="Between the requests of a connection."),
        "request": Duration(default="60s", positive=True, doc="For a function to begin its response."),
        "shutdown": Duration(default="10s", doc="For running requests to end when the server stops."),
    }
)

LIMITS: Final = Table(
    {
        "header": Number(whole=True, least=1024, default=64 << 10, doc="Bytes of a request's head."),
        "body": Number(whole=True, least=0, default=MAX_BODY, doc="Bytes of a request's body."),
        "connections": Number(whole=True, least=1, default=10_000, doc="The most open connections."),
        "requests": Number(
            whole=True, least=1, default=1_000, doc="The most requests in progress; more get 503."
        ),
    }
)


def _check_service(entry: Entry, registry: Registry) -> Iterator[Problem]:
    yield from check_tls(entry)
    for path, table in (("timeouts", TIMEOUTS), ("limits", LIMITS), ("tls", TLS)):
        yield from unknown_in(entry, path, table.keys)
    yield from slips_of(entry, SERVICE_KIND.fields, ("timeouts", "limits", "tls"))
    mine = entry.get("addr")
    for other in registry.of_kind(SERVICE):
        if other is entry:
            break
        if other.get("addr") == mine and not mine.endswith(":0"):
            yield entry.problem(f"{other.id} has the same `addr` {mine}", "addr")


SERVICE_KIND: Final = Kind(
    SERVICE,
    role="service",
    doc="An HTTP server.",
    check=_check_service,
    fields={
        "addr": _ADDR,
        "timeouts": TIMEOUTS,
        "limits": LIMITS,
        "tls": TLS,
        "access_log": Flag(default=True, doc="A log line for each request."),
        "admin": Table(
            {"addr": Text(pattern=_ADDR.pattern, form=_ADDR.form, doc="Without a host: 127.0.0.1.")},
            doc="Where /healthz, /readyz and /metrics are.",
        ),
    },
)

_SERVER: Final = Reference(kinds=(SERVICE,), doc="Default: the app's only server.")
_ROUTER: Final = Reference(kinds=(ROUTER,), doc="Default: the app's only router.")


def server_of(entry: Entry, registry: Registry) -> Entry | None:
    """Return the server of a router or of static files."""
    router = entry.get("meta.router")
    if router:
        found = registry.get(router)
        return server_of(found, registry) if found else None
    server = entry.get("meta.server")
    if server:
        return registry.get(server)
    servers = registry.of_kind(SERVICE)
    return servers[0] if len(servers) == 1 else None


def router_of(entry: Entry, registry: Registry) -> Entry | None:
    """Return the router of an endpoint."""
    router = entry.get("meta.router")
    if router:
        return registry.get(router)
    routers = registry.of_kind(ROUTER)
    return routers[0] if len(routers) == 1 else None


def _check_router(entry: Entry, registry: Registry) -> Iterator[Problem]:
    if server_of(entry, registry) is None:
        yield entry.problem("`meta.server` is missing", "meta", "name an http.service")
    yield from _check_middleware(entry)
    yield from slips_of(entry, ROUTER_KIND.fields, ("middleware", "options"))
    for key in ("post_middleware", "post_options"):
        if entry.get(key):
            hint = "check in the function, or with token_auth"
            yield entry.problem(f"`{key}` is not supported; ignoring it would let requests in", key, hint)


def _check_middleware(entry: Entry) -> Iterator[Problem]:
    """Yield the problems of the middleware of a router, or of static files."""
    names, options = entry.get("middleware", []), entry.get("options") or {}
    cors, limit = options.get("cors", {}), options.get("ratelimit", {})
    if cors.get("credentials") and "*" in cors.get("origins", ["*"]):
        yield entry.problem(
            "`options.cors` allows credentials to every origin",
            "options.cors.credentials",
            "name the origins",
        )
    if "token_auth" in names and not options.get("token_auth", {}).get("tokens"):
        hint = "such as [${env:API_TOKEN}]"
        yield entry.problem("the middleware token_auth needs `options.token_auth.tokens`", "middleware", hint)
    for name in ("ratelimit", "timeout", "token_auth"):
        if name in options and name not in names:
            message = f"`options.{name}` sets a limit that does not apply: `middleware` does not name {name}"
            yield entry.problem(message, f"options.{name}")
    if "rate" in limit and "requests" in limit:
        yield entry.problem("`options.ratelimit` has both `rate` and `requests`", "options.ratelimit")
    for network in options.get("real_ip", {}).get("trusted", []):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield entry.problem(f"{network} is not a network such as 10.0.0.0/8", "options.real_ip.trusted")


ROUTER_KIND: Final = Kind(
    ROUTER,
    role="config",
    doc="Endpoints under one prefix, with the same middleware.",
    check=_check_router,
    fields={
        "prefix": Text(pattern=_PATH, form='a path such as "/api"', default="/"),
        "middleware": ListOf(Choice(MIDDLEWARE), doc="From the outermost to the innermost."),
        "options": Options(
            doc="Options of its middleware: tables by name, or flat such as cors.allow.origins."
        ),
        "post_middleware": ListOf(Text(), doc="Not supported."),
        "post_options": Data(doc="Not supported."),
        "meta": Table({"server": _SERVER}, open=True, doc="Free-form; `server` names the http.service."),
    },
)

_PARAM: Final = re.compile(r"\{([A-Za-z_]\w*)(\.\.\.)?\}")


def full_path(entry: Entry, registry: Registry) -> str:
    """Return the path of an endpoint with its router's prefix."""
    router = router_of(entry, registry)
    prefix: str = router.get("prefix", "/") if router else "/"
    path: str = entry.get("path")
    return prefix.rstrip("/") + path if path != "/" else prefix


def _well_formed(path: str) -> bool:
    """Return whether every parameter is a whole segment, and one that takes the rest is the last."""
    segments = [(segment, _PARAM.fullmatch(segment)) for segment in path.split("/")]
    if any(found is None and ("{" in segment or "}" in segment) for segment, found in segments):
        return False
    return not any(found and found[2] for _, found in segments[:-1])


def _shape(path: str) -> str:
    return _PARAM.sub(lambda found: "{...}" if found[2] else "{}", path)


def _check_endpoint(entry: Entry, registry: Registry) -> Iterator[Problem]:
    yield from slips_of(entry, ENDPOINT_KIND.fields, ("accepts", "max_body", "timeout"))
    router = router_of(entry, registry)
    if router is None:
        yield entry.problem("`meta.router` is missing", "meta", "name an http.router")
        return
    path = full_path(entry, registry)
    names = [found[0] for found in _PARAM.findall(path)]
    if not _well_formed(path):
        yield entry.problem(
            f"`path` {path} has a bad parameter",
            "path",
            "write {name}, or {name...} for the rest of the path",
        )
    elif len(names) != len(set(names)):
        yield entry.problem(f"`path` {path} has two parameters of the same name", "path")
    for other in registry.of_kind(ENDPOINT):
        if other is entry:
            break
        same = other.get("method") == entry.get("method") and router_of(other, registry) is not None
        if same and _shape(full_path(other, registry)) == _shape(path):
            home = router_of(other, registry)
            if home and server_of(home, registry) is server_of(router, registry):
                yield entry.problem(f"{other.id} serves {entry.get('method')} {path} already", "path")


ENDPOINT_KIND: Final = Kind(
    ENDPOINT,
    role="config",
    doc="A path that a function answers.",
    check=_check_endpoint,
    fields={
        "method": Choice(METHODS, default="GET"),
        "path": Text(pattern=_PATH, form='a path such as "/orders/{id}"', required=True),
        "func": Reference(
            roles=("function", "process"), runtimes=("lua",), required=True, doc="What answers."
        ),
        "accepts": ListOf(Text(required=True), doc="Accepted content types of a body; others get 415."),
        "max_body": Number(whole=True, least=0, doc="Bytes; default: the server's limit."),
        "timeout": Duration(positive=True, doc="For the function to begin its response."),
        "meta": Table({"router": _ROUTER}, open=True, doc="Free-form; `router` names the http.router."),
    },
)


def _check_static(entry: Entry, registry: Registry) -> Iterator[Problem]:
    if server_of(entry, registry) is None:
        yield entry.problem("`meta.server` is missing", "meta", "name an http.service, or an http.router")
    yield from _check_middleware(entry)
    yield from slips_of(entry, STATIC_KIND.fields, ("middleware", "options"))


STATIC_KIND: Final = Kind(
    STATIC,
    role="config",
    doc="Files of a directory.",
    check=_check_static,
    fields={
        "path": Text(pattern=_PATH, form='a path such as "/static"', default="/"),
        "directory": Source(directory=True, required=True, doc="The directory, relative to this file."),
        "index": Text(default="index.html", doc="The file for a directory's path."),
        "fallback": Text(doc="The file for paths that do not exist, such as index.html of a one-page app."),
        "cache_control": Text(default="no-cache", pattern=r"[\x20-\x7e]*", form="the value of a header"),
        "static_options": Table(
            {
                "spa": Flag(doc="Serve the index for paths that do not exist, as `fallback` does."),
                "index": Text(doc="As `index`."),
                "cache": Text(
                    pattern=r"[\x20-\x7e]*", form="the value of a header", doc="As `cache_control`."
                ),
            }
        ),
        "middleware": ListOf(Choice(MIDDLEWARE), doc="From the outermost to the innermost."),
        "options": Options(doc="Options of its middleware."),
        "meta": Table(
            {"server": _SERVER, "router": Reference(kinds=(ROUTER,), doc="Its prefix and middleware apply.")},
            open=True,
            doc="Free-form; `server` or `router` names the place.",
        ),
    },
)

HTTP_KINDS: Final[tuple[Kind, ...]] = (SERVICE_KIND, ROUTER_KIND, ENDPOINT_KIND, STATIC_KIND)
