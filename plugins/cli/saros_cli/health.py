"""Probes of a process that serves an app: does it live, is it ready, what has it done.

A small server of HTTP/1.1 on the process's own event loop, so an answer is proof that the loop turns. It needs no
HTTP entry of the app, and is bounded: `GET` and `HEAD` only, one request a connection, a short head, a short time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import h11

from saros.interfaces.activations import watch
from saros.model.background import Jobs
from saros.model.errors import UNAVAILABLE, Error
from saros.model.text import one_line

if TYPE_CHECKING:
    from saros.app.app import App

PATIENCE_S: Final = 2.0
"""What the backend may take to answer, when somebody asks whether the process is ready."""
REQUEST_S: Final = 5.0
"""What a client may take to send its request, and to read the answer."""
HEAD: Final = 8192
"""Bytes that a request may have."""
MOST: Final = 32
"""Connections at once; others are closed."""

SILENT_S: Final = 60.0
"""How long the code of an attempt may go on in its thread after it was told to end, or has timed out."""

_TEXT: Final = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    status: int
    body: bytes
    media: str = _TEXT


class Probes:
    """:ivar app: what is served; None while it is not open yet, or no more."""

    def __init__(self, listens: bool = False) -> None:
        self._listens = listens
        self.app: App | None = None
        self.workers: asyncio.Task[None] | None = None
        self._jobs = Jobs()
        self._open = 0

    def serve(self, app: App, workers: asyncio.Task[None]) -> None:
        """Answer for an app and its workers."""
        self.app, self.workers = app, workers
        if app.deployment.observer is not None and self._listens:
            app.deployment.observer.served()

    async def answer(self, path: str) -> Answer:
        """What a path says."""
        if path == "/healthz":
            problem = self._ill()
        elif path == "/readyz":
            problem = await self._unready()
        elif path == "/metrics":
            return self._metrics()
        else:
            return Answer(404, b"there are /healthz, /readyz and /metrics\n")
        return Answer(503, f"{problem}\n".encode()) if problem else Answer(200, b"ok\n")

    def _ill(self) -> str | None:
        if self.workers is not None and self.workers.done():
            return "the workers have stopped"
        now = time.monotonic()
        for scope in list(watch.threads.values()):
            if scope.canceled and now - scope.canceled_at > SILENT_S:
                silent = now - scope.canceled_at
                return f"{one_line(scope.name)} was told to end {silent:.0f} s ago, but its thread still runs"
        return None

    async def _unready(self) -> str | None:
        app = self.app
        if app is None or self.workers is None:
            return "starting or stopping"
        if self.workers.done():
            return "the workers have stopped"
        try:
            async with asyncio.timeout(PATIENCE_S):
                await app.backend.lookup("saros.ready")
        except (Error, TimeoutError):
            return "the backend does not answer"
        return None

    def _metrics(self) -> Answer:
        observer = self.app.deployment.observer if self.app is not None else None
        found = observer.metrics() if observer is not None else None
        if found is None:
            return Answer(404, b"there are no metrics; pip install saros-otel\n")
        return Answer(200, found[1], found[0])

    # --- the server ---------------------------------------------------------------------------

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        if self._open >= MOST:
            writer.close()
            return
        self._open += 1
        self._jobs.start(self._serve(reader, writer), "a probe")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(TimeoutError, OSError, h11.RemoteProtocolError):
                async with asyncio.timeout(REQUEST_S):
                    await self._exchange(reader, writer)
        finally:
            self._open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(HEAD))
            elif isinstance(event, h11.Request):
                break
            else:
                return
        if event.method in (b"GET", b"HEAD"):
            found = await self.answer(event.target.partition(b"?")[0].decode("latin-1"))
        else:
            found = Answer(405, b"only GET and HEAD\n")
        headers = [
            ("content-type", found.media),
            ("content-length", str(len(found.body))),
            ("connection", "close"),
        ]
        if found.status == 405:
            headers.append(("allow", "GET, HEAD"))
        writer.write(connection.send(h11.Response(status_code=found.status, headers=headers)) or b"")
        if event.method != b"HEAD":
            writer.write(found.body)
        await writer.drain()

    async def close(self) -> None:
        await self._jobs.end()


@asynccontextmanager
async def probes(address: tuple[str, int] | None) -> AsyncIterator[Probes]:
    """Answer probes at an address meanwhile; at none, do nothing.

    :raises Error: UNAVAILABLE when it cannot listen there.
    """
    found = Probes(listens=address is not None)
    if address is None:
        yield found
        return
    host, port = address
    try:
        server = await asyncio.start_server(found.accept, host, port, limit=HEAD)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Error(
            f"cannot answer probes at {host}:{port}: {reason}", UNAVAILABLE, retryable=False
        ) from None
    try:
        yield found
    finally:
        server.close()
        await found.close()
