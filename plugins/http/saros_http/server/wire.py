"""The transport of a connection. It holds back heads, and closes without losing the response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

LINGER_S: Final = 2.0
"""The time that a client that is still sending gets to read the last response, before the connection is cut."""


class Wire:
    """A transport that can hold back writes, so that a response's head leaves together with its body.

    :param lingers: returns whether the client is still sending when the connection is to be closed.
    """

    def __init__(self, transport: asyncio.Transport, lingers: Callable[[], bool]) -> None:
        self._transport = transport
        self._lingers = lingers
        self._held: list[bytes] | None = None
        self._last_call: asyncio.TimerHandle | None = None
        self.write: Callable[[bytes], None] = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def hold(self) -> None:
        if self._held is None:
            self._held = []
            self.write = self._held.append

    def release(self) -> None:
        held, self._held = self._held, None
        self.write = self._transport.write
        if held:
            self._transport.write(b"".join(held))

    def is_closing(self) -> bool:
        return self._last_call is not None or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection. Everything written reaches the client, even if it is still sending."""
        self.release()
        if self.is_closing():
            return
        if not self._lingers() or not self._transport.can_write_eof():
            self._transport.close()
            return
        # Closing a socket with unread bytes resets the connection, and the client may lose the response.
        self.write = _nowhere
        self._transport.write_eof()
        self._transport.resume_reading()
        self._linger(self._transport.get_write_buffer_size())

    def _linger(self, before: int) -> None:
        """Cut the connection when its client has read nothing for a while."""

        def end() -> None:
            left = self._transport.get_write_buffer_size()
            if left < before:
                self._linger(left)
            else:
                self._transport.abort()

        self._last_call = asyncio.get_running_loop().call_later(LINGER_S, end)

    def closed(self) -> None:
        if self._last_call is not None:
            self._last_call.cancel()


def _nowhere(data: bytes) -> None:
    """Discard what a response writes after its connection was closed."""
