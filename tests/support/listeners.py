"""TCP servers of tests, such as proxies before the real server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from saros.model.background import Jobs

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a free port of this machine, which is yielded.

    Each connection is closed when `serve` is done with it. At the end all are, even those that `serve` has not seen.
    """
    serving = Jobs()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        job = serving.start(serve(reader, writer), "a connection of a test")
        job.task.add_done_callback(lambda _task: writer.close())

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        for (
            each
        ) in server.sockets:  # a server that closes while it accepts a connection would forget to close that
            asyncio.get_running_loop().remove_reader(each.fileno())
        for _ in range(
            3
        ):  # so many turns of the loop after the last connection was accepted, `accept` is called
            await asyncio.sleep(0)
        server.close()
        await serving.end()
        for writer in writers:  # one that is closed still waits for a peer that does not read
            writer.transport.abort()
        await asyncio.sleep(0)  # they let go of their sockets
