"""TCP servers for tests, such as a proxy in front of the real server."""

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
    """Listen on a free port of this machine, and yield the port.

    A connection is closed when `serve` returns. At the end all are closed, even those that `serve` has not seen.
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
        # Stop accepting first: a server that is closed while it accepts a connection leaves that connection open.
        for each in server.sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
        # asyncio calls `accept` this many turns of the loop after it has accepted the last connection.
        for _ in range(3):
            await asyncio.sleep(0)
        server.close()
        await serving.end()
        for writer in writers:  # even a closed one waits for a peer that does not read
            writer.transport.abort()
        await asyncio.sleep(0)  # let them close their sockets
