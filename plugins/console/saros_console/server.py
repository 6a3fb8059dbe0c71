"""Runs the console, by itself or beside the workers of an app."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import uvicorn
from anyio import CancelScope

from saros import App
from saros.app.opening import DEFAULT_BACKEND, open_app
from saros.app.plugins import installed
from saros.model.background import Jobs
from saros.model.errors import INVALID, UNAVAILABLE, Error
from saros.model.text import one_line, without_secrets

from .web.application import Console

log = logging.getLogger("saros.console")

GRACE_S: Final = 3
"""Seconds that open pages get when the console ends."""


_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Settings(NamedTuple):
    """:param token: the password for all users; empty: everybody who reaches the loopback address may enter.
    :param user_header: the header in which a trusted proxy names the user.
    :param url: the address that users open, if it is that of a proxy.
    :param trace_url: the address of a trace, with ``{trace}`` in place of its id.
    """

    host: str = "127.0.0.1"
    port: int = 0
    read_only: bool = False
    token: str = ""
    user_header: str = ""
    url: str = ""
    trace_url: str = ""

    def check(self) -> Settings:
        """:raises Error: INVALID if other machines could use the console without a password."""
        for option, given in (("--url", self.url), ("--trace-url", self.trace_url)):
            if given and not given.startswith(("http://", "https://")):
                raise Error(f"{one_line(given)} is no http address", INVALID, where=option)
        if self.user_header and not _HEADER.fullmatch(self.user_header):
            raise Error(f"{one_line(self.user_header)} names no header", INVALID, where="--user-header")
        if not self.token and not self.user_header and not is_loopback(self.host):
            raise Error(
                f"the console at {one_line(self.host)} would be open to everybody who reaches it",
                INVALID,
                where="--host",
                hint="give --token, or --user-header if only a proxy reaches it; or listen at 127.0.0.1",
            )
        return self


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """A server that leaves signals to the command that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """:raises Error: UNAVAILABLE when nothing can listen there."""
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((name, port))
    except (OSError, OverflowError) as error:
        sock.close()
        why = getattr(error, "strerror", None) or str(error)
        raise Error(
            f"the console cannot listen at {one_line(host)}:{port}: {why}",
            UNAVAILABLE,
            where="--port",
            hint="give another --port; 0 takes any free one",
        ) from None
    return sock


class Serving(NamedTuple):
    """A server that has its socket but does not serve yet."""

    console: Console
    server: uvicorn.Server
    sock: socket.socket
    url: str

    async def serve(self) -> None:
        """Serve until the server is told to exit, then end the console's jobs."""
        with self.sock:
            try:
                await self.server.serve(sockets=[self.sock])
            finally:
                await self.console.jobs.end()


def serving(app: App, settings: Settings, kind: type[uvicorn.Server] = _Server) -> Serving:
    """:raises Error: INVALID or UNAVAILABLE."""
    settings.check()
    sock = _listen(settings.host, settings.port)
    host, port = sock.getsockname()[:2]
    console = Console(
        app,
        read_only=settings.read_only,
        token=settings.token,
        local=is_loopback(settings.host),
        user_header=settings.user_header,
        url=settings.url,
        trace_url=settings.trace_url,
    )
    config = uvicorn.Config(
        console.asgi,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = kind(config)
    console.ending = lambda: server.should_exit
    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    return Serving(console, server, sock, url)


async def alone(backend: str | None, path: Path | None, settings: Settings) -> None:
    """Serve the console of a backend until a signal.

    :raises Error: INVALID for a backend that lives in one process, or for an address that is open to everybody.
    """
    url = backend or os.environ.get("SAROS_BACKEND") or DEFAULT_BACKEND
    settings.check()
    if installed().backend(url).in_process:
        raise Error(
            f"{without_secrets(url)} lives in one process, and this one runs nothing",
            INVALID,
            where="--backend",
            hint="see into it with `saros run APP --console`, or give --backend a server such as redis://localhost",
        )
    async with open_app(path, url, workers=False) as app:
        ready = serving(app, settings, uvicorn.Server)
        print(f"console {settings.url or ready.url}", flush=True)
        await ready.serve()


@contextlib.asynccontextmanager
async def beside(app: App, address: str) -> AsyncIterator[None]:
    """Serve the console beside an app's workers; the token is that of ``SAROS_CONSOLE_TOKEN``.

    :param address: ``HOST:PORT``.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise Error(f"{one_line(address)} is no HOST:PORT", INVALID, where="SAROS_CONSOLE")
    settings = Settings(host or "127.0.0.1", int(port), False, os.environ.get("SAROS_CONSOLE_TOKEN", ""))
    ready, jobs = serving(app, settings), Jobs()
    jobs.start(ready.serve(), "the console")
    log.info("console %s", ready.url)
    try:
        yield
    finally:
        ready.server.should_exit = True
        with CancelScope(shield=True):
            await jobs.wait(GRACE_S + 2.0)
            await jobs.end()
