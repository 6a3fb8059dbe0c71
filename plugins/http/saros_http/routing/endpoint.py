"""An endpoint passes a request to its function."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from saros import App
from saros.entries import Entry, parse_duration
from saros.model import values

from ..problem import (
    REQUEST_ID,
    Disconnected,
    HttpError,
    Receive,
    Scope,
    Send,
    header_of,
    pairs_of,
    send_problem,
    text_of,
)
from .body import WHOLE, Body, text_or_bytes
from .exchange import Exchange

INLINE: Final = 64 << 10
"""The largest body, in bytes, that goes to the function together with the head."""
MAX_QUERY: Final = 1000
PARAMS: Final = "saros.params"  # in a scope: names and values of the path's parameters, flat
TRACE: Final = "saros.trace"  # in a scope: the carrier of the request, while somebody observes
TIMEOUT: Final = "saros.timeout"  # in a scope: seconds of the middleware `timeout`

_encode: Final = msgspec.json.Encoder().encode


class Settings(NamedTuple):
    """A server's limits for its requests; times in seconds, sizes in bytes."""

    body: int
    read: float
    request: float


def seconds(entry: Entry, path: str) -> float:
    """Return a duration of an entry in seconds."""
    return parse_duration(entry.get(path)) / 1e9


class Endpoint:
    def __init__(self, app: App, entry: Entry, settings: Settings) -> None:
        found = app.registry.get(entry.get("func"))
        if found is None:
            raise LookupError(entry.get("func"))  # the registry has checked it
        self.entry = entry
        self._function = found
        self._app = app
        limit = entry.get("max_body")
        self._settings = settings if limit is None else settings._replace(body=limit)
        self._timeout = seconds(entry, "timeout") if entry.get("timeout") is not None else None
        self._accepts = [text.lower() for text in entry.get("accepts", [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange | None = None
        try:
            body = Body(scope, receive, self._settings.body, self._settings.read)
            info = await self._info(scope, body)
            limit = self._timeout or scope.get(TIMEOUT) or self._settings.request
            exchange = Exchange(scope, receive, send, body)
            context, trace = {"request_id": scope[REQUEST_ID]}, scope.get(TRACE, "")
            await exchange.run(self._app.host, self._function, info, context, limit, trace)
        except HttpError as error:
            if exchange is not None and exchange.begun:
                await exchange.cut()
            await send_problem(scope, send, error)

    async def _info(self, scope: Scope, body: Body) -> bytes:
        """Return the head of the request, and its body if it is small, as JSON for the module `http`.

        It holds only what differs from a plain GET, because parsing JSON in Lua is slow.
        """
        info: dict[str, Any] = {
            "method": scope["method"],
            "path": text_of(unquote_to_bytes(scope["raw_path"])),
            "client": "{}:{}".format(*scope["client"]) if scope.get("client") else "",
            "headers": _flat_headers(scope),
        }
        if scope["scheme"] != "http":
            info["scheme"] = scope["scheme"]
        if scope["query_string"]:
            info["query"] = _query(scope["query_string"])
        if scope.get(PARAMS):
            info["params"] = scope[PARAMS]
        if body.length == 0:
            return _encode(info)
        info["length"] = -1 if body.length is None else body.length  # -1: not known before its end
        media = (header_of(scope, b"content-type") or "").partition(";")[0].strip().lower()
        if self._accepts and media not in self._accepts:
            raise HttpError(415, f"The body must be {' or '.join(self._accepts)}.")
        is_json = media == "application/json" or media.endswith("+json")
        if is_json or (body.length is not None and body.length <= INLINE):
            data = await body.whole()
            if len(data) <= WHOLE:
                content = text_or_bytes(data)
                info["body"] = content if isinstance(content, str) else msgspec.Raw(values.encode(content))
        return _encode(info)


def _flat_headers(scope: Scope) -> list[str]:
    return [text_of(part) for pair in scope["headers"] for part in pair]


def _query(query: bytes) -> list[str]:
    try:
        pairs = pairs_of(query, MAX_QUERY)
    except ValueError:
        raise HttpError(400, f"The query has more than {MAX_QUERY} parameters.") from None
    return [text for pair in pairs for text in pair]


__all__ = ["PARAMS", "TIMEOUT", "TRACE", "Disconnected", "Endpoint", "Settings", "seconds"]
