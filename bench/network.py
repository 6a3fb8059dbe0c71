"""The network between the workers of a soak (see soak.py) and their server."""

from __future__ import annotations

import asyncio
import contextlib
import random


class Network:
    """The way to a server: a proxy whose connections can be cut, or fall silent.

    A connection that is cut loses the requests and replies that are under way.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._port)
            mine = {writer, back}
            self._writers |= mine
            try:
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
            finally:
                self._writers -= mine
                back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def cut(self, dice: random.Random) -> str:
        """Cut half of all connections."""
        for each in list(self._writers):
            if dice.random() < 0.5:
                each.transport.abort()
        return "connections cut"

    async def silence(self, dice: random.Random) -> str:
        """Let nothing pass for a while."""
        self._open.clear()
        await asyncio.sleep(dice.uniform(0.5, 4))
        self._open.set()
        return "network silent"
