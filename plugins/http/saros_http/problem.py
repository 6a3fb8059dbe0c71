"""Problems: error responses for clients (RFC 9457) that reveal no internals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

REQUEST_ID = "saros.id"  # in a scope: the request's id
WIRE = "saros.wire"  # in a scope: the `Wire` of its connection
TARGET = "saros.target"  # in a scope: scheme and host of an absolute request target


class HttpError(Exception):
    """Raised to answer a request with a problem.

    :param detail: a sentence for the client.
    :param headers: additional headers of the response.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class Disconnected(Exception):
    """The client has disconnected, or the server has cut the connection."""


def problem_body(status: int, detail: str, request_id: str = "") -> bytes:
    """Return the JSON document of a problem."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)


async def send_problem(scope: Scope, send: Send, error: HttpError) -> None:
    """Answer with a problem."""
    body = problem_body(error.status, error.detail, scope.get(REQUEST_ID, ""))
    headers = [(b"content-type", b"application/problem+json")]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in error.headers.items()]
    await send_whole(send, error.status, headers, body)


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a response in one piece."""
    if status in (204, 304):
        body = b""
        headers = [pair for pair in headers if pair[0] != b"content-type"]
    else:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def text_of(data: bytes) -> str:
    """Decode a header, a path, a query or a field: as UTF-8, or as ISO-8859-1 if it is not valid UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def pairs_of(data: bytes, limit: int) -> list[tuple[str, str]]:
    """Return the names and values of a query, or of an urlencoded form.

    :raises ValueError: when there are more than `limit`.
    """
    pairs = parse_qsl(
        data.decode("latin-1"), keep_blank_values=True, max_num_fields=limit, encoding="latin-1"
    )
    return [(text_of(name.encode("latin-1")), text_of(value.encode("latin-1"))) for name, value in pairs]


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return a request's first header with that name (in lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None
