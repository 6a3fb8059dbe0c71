"""The body of a request: bounded in size and time, read whole or in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from anyio import to_thread
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from saros.model.values import quoted_size

from ..problem import Disconnected, HttpError, Message, Receive, Scope, header_of, pairs_of, text_of

MAX_FIELDS = 1000
MAX_FILES = 100
MAX_NAME: Final = 65536
"""Bytes of a field's name, which becomes a key in JSON."""
WHOLE: Final = 11 << 20
"""The largest body, in bytes, that a function gets at once: as base64, it still fits into a value of 16 MiB."""
PART: Final = 1 << 20
"""The largest part of a body, in bytes, that is read at once."""
_LONG: Final = 64 << 10  # bytes that take too long to parse in the event loop
_TAIL = 4096  # a form's last boundary must be within so many final bytes


class Body:
    """:param limit: the largest size in bytes.
    :param seconds: the time limit for the whole body, counted from the first read; 0 for no limit.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int, seconds: float) -> None:
        self.length = _length(scope)
        if self.length is not None and self.length > limit:
            raise _too_large(limit)
        self.ended = False  # whether all of it has been received
        self.on_end: Callable[[], None] | None = None
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._deadline: float | None = None
        self._buffer = bytearray()
        self._total = 0
        self._tail = b""  # of a form

    async def whole(self) -> bytes:
        """Return everything up to the end that `read` has not returned yet; `read` can still return it.

        :raises HttpError: 413 or 408.
        :raises Disconnected: when the client has gone.
        """
        while not self.ended:
            await self._pull()
        return bytes(self._buffer)

    async def read(self, size: int) -> bytes:
        """Return the next part, of at most `size` bytes; empty at the end. Raises the same errors as `whole`."""
        while not self._buffer and not self.ended:
            await self._pull()
        size = min(size, PART)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def form(self) -> dict[str, Any]:
        """Return the fields and files of a form.

        :raises HttpError: 415 when the body is not a form, 400 when it is malformed; also the errors of `whole`.
        """
        content_type, options = parse_options_header(header_of(self._scope, b"content-type"))
        if content_type not in (b"multipart/form-data", b"application/x-www-form-urlencoded"):
            raise HttpError(415, "The body is not a form.")
        if content_type == b"application/x-www-form-urlencoded":
            return await self._fields(await self.whole())
        request = Request(dict(self._scope), self._as_receive)
        try:
            parsed = await request.form(
                max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=max(self._limit, 1)
            )
        except (MultiPartException, HTTPException) as exc:
            raise HttpError(400, "The form is malformed.") from exc
        except ClientDisconnect as exc:
            raise Disconnected from exc
        if b"boundary" in options and b"--%s--" % options[b"boundary"] not in self._tail:
            raise HttpError(400, "The form is malformed.")  # incomplete
        form: dict[str, Any] = {"values": {}, "files": {}, "size": self._total}
        self._check(name for name, _ in parsed.multi_items())
        for name, item in parsed.multi_items():
            if isinstance(item, UploadFile):
                data = await item.read()
                file = {
                    "name": item.filename or "",
                    "content_type": item.content_type or "application/octet-stream",
                    "size": len(data),
                    "data": text_or_bytes(data),
                    "headers": {text_of(name).lower(): text_of(value) for name, value in item.headers.raw},
                }
                form["files"].setdefault(name, []).append(file)
            else:
                form["values"].setdefault(name, []).append(_shorter(item))
        await parsed.close()
        return form

    async def _fields(self, data: bytes) -> dict[str, Any]:
        try:
            if len(data) > _LONG:
                pairs = await to_thread.run_sync(pairs_of, data, MAX_FIELDS)
            else:
                pairs = pairs_of(data, MAX_FIELDS)
        except ValueError as exc:
            raise HttpError(400, "The form is malformed.") from exc
        self._check(name for name, _ in pairs)
        values: dict[str, list[str | bytes]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(_shorter(value))
        return {"values": values, "files": {}, "size": self._total}

    def _check(self, names: Iterable[str]) -> None:
        """Refuse a form that the function could not get.

        :raises HttpError: 400 or 413.
        """
        if any(len(name.encode()) > MAX_NAME for name in names):
            raise HttpError(400, "The form is malformed.")
        if self._total > WHOLE:
            raise HttpError(413, "The form is too large.", {"Connection": "close"})

    async def _as_receive(self) -> Message:
        data = await self.read(1 << 16)
        self._tail = (self._tail + data)[-_TAIL:]
        return {"type": "http.request", "body": data, "more_body": not self.ended or bool(self._buffer)}

    async def _pull(self) -> None:
        loop = asyncio.get_running_loop()
        if self._deadline is None and self._seconds:
            self._deadline = loop.time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HttpError(408, "The body did not arrive in time.", {"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        data = message.get("body", b"")
        self._total += len(data)
        if self._total > self._limit:
            raise _too_large(self._limit)
        self._buffer += data
        if not message.get("more_body", False):
            self.ended = True
            if self.on_end is not None:
                self.on_end()


def text_or_bytes(data: bytes) -> str | bytes:
    """Return text if the data is UTF-8 and most of it is the same in JSON, else bytes. Lua gets the same string;
    bytes cross as base64.
    """
    if len(data) > _LONG and 3 * quoted_size(data) > 4 * len(data):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _shorter(text: str) -> str | bytes:
    """Do the same for a field."""
    return text_or_bytes(text.encode()) if len(text) > _LONG else text


def _length(scope: Scope) -> int | None:
    """Return the size of a body in bytes; None if it is not known before the end."""
    length = header_of(scope, b"content-length")
    if header_of(scope, b"transfer-encoding") is not None:
        return None
    if not length or not length.isascii() or not length.isdigit():
        return 0
    return int(length.lstrip("0") or 0)  # Python refuses thousands of digits, even if most are zeros


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"The body is larger than {limit} bytes.", {"Connection": "close"})
