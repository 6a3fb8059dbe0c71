"""The body of a request: bounded in size and time, read whole or in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from ..problem import Disconnected, HttpError, Message, Receive, Scope, header_of, pairs_of, text_of

MAX_FIELDS = 1000
MAX_FILES = 100
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
            return self._fields(await self.whole())
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
                form["values"].setdefault(name, []).append(item)
        await parsed.close()
        return form

    def _fields(self, data: bytes) -> dict[str, Any]:
        try:
            pairs = pairs_of(data, MAX_FIELDS)
        except ValueError as exc:
            raise HttpError(400, "The form is malformed.") from exc
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return {"values": values, "files": {}, "size": self._total}

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
    """Return text if the data is UTF-8, else bytes. Lua gets the same string; bytes cross as base64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _length(scope: Scope) -> int | None:
    """Return the size of a body in bytes; None if it is not known before the end."""
    length = header_of(scope, b"content-length")
    if header_of(scope, b"transfer-encoding") is not None:
        return None
    return int(length) if length and length.isascii() and length.isdigit() else 0


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"The body is larger than {limit} bytes.", {"Connection": "close"})
