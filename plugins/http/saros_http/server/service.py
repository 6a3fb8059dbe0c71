"""The servers of an app, which run beside its workers."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import uvicorn
from anyio import CancelScope

from saros import App
from saros.entries import Entry
from saros.model.background import Jobs
from saros.model.errors import UNAVAILABLE, Error

from ..config.kinds import ENDPOINT, ROUTER, SERVICE, STATIC, full_path, router_of, server_of
from ..config.tls import tls_context
from ..problem import Asgi
from ..routing.endpoint import Endpoint, Settings, seconds
from ..routing.exchange import end_streams
from ..routing.middleware import Wrap, chain
from ..routing.routes import Resource, Routes
from ..routing.static import REST, Static
from .admin import Admin
from .gateway import Gateway, Limits
from .listening import announce, withdraw
from .metrics import Metrics
from .protocol import configured

log = logging.getLogger("saros.http")

SLACK_S = 5.0
"""Seconds for a server to stop, beyond the time that running requests get."""


class Server(uvicorn.Server):
    """A server that leaves signal handling to the process that runs the app."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def routes_of(app: App, service: Entry) -> Routes:
    """Return the routes of everything that a service serves."""
    registry = app.registry
    settings = Settings(
        service.get("limits.body"),
        seconds(service, "timeouts.read"),
        seconds(service, "timeouts.request"),
    )
    wraps: dict[str, Wrap] = {
        router.id: chain(router)
        for router in registry.of_kind(ROUTER)
        if server_of(router, registry) is service
    }
    resources: dict[tuple[str, str], Resource] = {}
    for entry in registry.of_kind(ENDPOINT):
        router = router_of(entry, registry)
        if router is None or router.id not in wraps:
            continue
        key = router.id, full_path(entry, registry)
        resource = resources.setdefault(key, Resource(key[1], {}))
        resource.methods[entry.get("method")] = Endpoint(app, entry, settings)
    for (router_id, _), resource in resources.items():
        resource.app = wraps[router_id](resource.dispatch)
    return Routes([*resources.values(), *_static(app, service, wraps)])


def _static(app: App, service: Entry, wraps: dict[str, Wrap]) -> Iterator[Resource]:
    for entry in app.registry.of_kind(STATIC):
        if server_of(entry, app.registry) is not service:
            continue
        router = app.registry.get(entry.get("meta.router") or "")
        prefix = router.get("prefix", "/").rstrip("/") if router else ""
        base = prefix + entry.get("path").rstrip("/")
        answer = Static(entry)
        for path in (base or "/", f"{base}/{{{REST}...}}"):
            resource = Resource(path, {"GET": answer})
            resource.app = chain(entry)(resource.dispatch)
            if router is not None:
                resource.app = wraps[router.id](resource.app)
            yield resource


def listen(entry: Entry, path: str, default_host: str) -> socket.socket:
    """Return a socket that listens at an address of an entry.

    :raises Error: UNAVAILABLE, with the place in the YAML file.
    """
    addr: str = entry.get(path)
    host, _, port = addr.rpartition(":")
    host = host.strip("[]") or default_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With an explicit protocol number, asyncio turns Nagle's algorithm off for the connections.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        sock.listen(1024)
        sock.setblocking(False)
    except (OSError, OverflowError) as exc:
        sock.close()
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        message = f"{entry.id} cannot listen at {addr}: {reason}"
        hint = None
        if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
            hint = "another process uses the port; `saros run --no-services` runs workers only"
        raise Error(message, UNAVAILABLE, retryable=False, where=entry.where(path), hint=hint) from exc
    return sock


def _server(gateway: Asgi, entry: Entry, context: ssl.SSLContext | None) -> Server:
    protocol: Any = configured(
        seconds(entry, "timeouts.header"), entry.get("limits.header"), entry.get("limits.connections")
    )
    config = uvicorn.Config(
        gateway,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=max(1, round(seconds(entry, "timeouts.idle"))),
        timeout_graceful_shutdown=max(1, round(seconds(entry, "timeouts.shutdown"))),
    )
    config.load()
    config.ssl = context
    return Server(config)


class Listener(NamedTuple):
    """:param id: the service's id, with ``#admin`` for its admin address."""

    id: str
    url: str
    server: Server
    socket: socket.socket


def _listeners(app: App, admin: Admin, metrics: Metrics, opened: contextlib.ExitStack) -> Iterator[Listener]:
    """Listen for each service and its admin address; `opened` closes the sockets."""
    for entry in app.registry.of_kind(SERVICE):
        if entry.get("lifecycle.auto_start") is False:
            continue
        context = tls_context(app, entry)
        limits = Limits(entry.get("limits.requests"), seconds(entry, "timeouts.write"))
        gateway = Gateway(
            entry.id,
            routes_of(app, entry),
            metrics,
            limits,
            entry.get("access_log") is not False,
            app.deployment,
        )
        sock = opened.enter_context(listen(entry, "addr", "0.0.0.0"))
        url = _url(sock, "https" if context else "http")
        yield Listener(entry.id, url, _server(gateway, entry, context), sock)
        if entry.get("admin.addr"):
            sock = opened.enter_context(listen(entry, "admin.addr", "127.0.0.1"))
            yield Listener(f"{entry.id}#admin", _url(sock, "http"), _server(admin, entry, None), sock)


@contextlib.asynccontextmanager
async def serve(app: App) -> AsyncIterator[None]:
    """Run the servers of an app's ``http.service`` entries.

    :raises Error: when one cannot listen, or its certificate cannot be used.
    """
    metrics = Metrics()
    admin = Admin(app, metrics)
    with contextlib.ExitStack() as opened:
        listeners = list(_listeners(app, admin, metrics, opened))
        public = [listener for listener in listeners if not listener.id.endswith("#admin")]
        private = [listener for listener in listeners if listener.id.endswith("#admin")]
        async with (
            _running(private),
            _running(public),
        ):  # readiness checks still get an answer while the servers stop
            for listener in listeners:
                log.info("%s listens at %s", listener.id, listener.url)
            admin.ready = True
            announce(app, {listener.id: listener.url for listener in listeners})
            try:
                yield
            finally:
                admin.ready = False
                withdraw(app)
                end_streams(app.host)


@contextlib.asynccontextmanager
async def _running(listeners: list[Listener]) -> AsyncIterator[None]:
    """Run servers; at the end, refuse new connections and let running requests finish."""
    servers = Jobs()
    for each in listeners:
        servers.start(each.server.serve(sockets=[each.socket]), f"the server {each.id}")
    try:
        yield
    finally:
        for each in listeners:
            each.server.should_exit = True
        grace = max((each.server.config.timeout_graceful_shutdown or 0 for each in listeners), default=0)
        with CancelScope(shield=True):
            await servers.wait(grace + SLACK_S)
            await servers.end()


def _url(sock: socket.socket, scheme: str) -> str:
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
