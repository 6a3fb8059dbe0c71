"""The services behind the http_client module: requests with their responses, whole or in parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx
import msgspec

from saros.model.background import together
from saros.model.errors import INTERNAL, TIMEOUT, UNAVAILABLE, Error
from saros.model.values import error_data

from .http_request import (
    DEFAULT_TIMEOUT,
    body_limit,
    build,
    invalid,
    own_transport,
    stream_limit,
    without_secrets,
)

MAX_BODY: Final = 8 << 20  # bytes; a program's memory has room for three of them
AT_ONCE: Final = 20  # of a batch
MAX_REDIRECTS: Final = 10


async def request(pid: str, args: list[Any]) -> dict[str, Any]:
    """Make a request; `args` are method, URL and options (`timeout` in milliseconds).

    :raises Error: INVALID for arguments, TIMEOUT and UNAVAILABLE (both retryable) for network failures,
        INTERNAL for a response that is too large, is damaged, or redirects without end.
    """
    options = args[2] or {}
    outgoing = build(*args)
    limit = body_limit(options, MAX_BODY)
    async with _failures(outgoing, options), _response(outgoing, options) as response:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                raise _too_large(outgoing, limit)
        return {**_head(response), "body": text_or_bytes(bytes(body)), "body_size": len(body)}


async def batch(pid: str, args: list[Any]) -> list[dict[str, Any]]:
    """Make several requests at once; each item of `args` is a list like the `args` of `request`.

    :return: for each ``{"ok": response}`` or ``{"err": ...}``. All bodies together have the limit of one.
    """
    left = MAX_BODY
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: list[Any]) -> dict[str, Any]:
        nonlocal left
        async with gate:
            try:
                response = await request(pid, each)
            except Error as error:
                return {"err": msgspec.to_builtins(error_data(error))}
        left -= response["body_size"]
        if left < 0:
            message = f"the responses of the batch are larger than {MAX_BODY} bytes together"
            return {"err": msgspec.to_builtins(error_data(Error(message, INTERNAL, retryable=False)))}
        return {"ok": response}

    return await together(*(one(each) for each in args))


class Stream:
    """A response that is read in parts. The program holds it with a call of its own."""

    def __init__(self) -> None:
        self.head: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open = True
        self._reading = asyncio.Lock()
        self._buffer = bytearray()
        self._total = 0

    async def hold(self, outgoing: httpx.Request, options: dict[str, Any]) -> None:
        """Make the request, and keep the response until this is cancelled or the timeout is over."""
        self._outgoing, self._options = outgoing, options
        self._limit = stream_limit(options)
        self._deadline = asyncio.get_running_loop().time() + options.get("timeout", DEFAULT_TIMEOUT) / 1000
        try:
            async with _failures(outgoing, options), _response(outgoing, options) as response:
                self._parts = response.aiter_bytes()
                self.head.set_result({**_head(response), "body_size": -1})
                await asyncio.Event().wait()  # its program cancels this call
        finally:
            self._open = False
            self.head.cancel()

    async def read(self, size: int) -> str | bytes | None:
        """Return the next part, at most `size` bytes; None at the end. Raises the errors of `request`."""
        async with self._reading, _failures(self._outgoing, self._options, self._deadline):
            if not self._open and not self._buffer:
                raise invalid("the stream is closed")
            if not self._buffer:
                self._buffer += await anext(self._parts, b"")
                self._total += len(self._buffer)
            if self._limit is not None and self._total > self._limit:
                raise _too_large(self._outgoing, self._limit)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return text_or_bytes(data) if data else None


_streams: dict[tuple[str, int], Stream] = {}  # by the program's pid and its number for the stream


async def stream(pid: str, args: list[Any]) -> Any:
    """Handle a program's operations on streamed responses: `args` are an operation, a number, and more.

    ``hold`` makes a request and keeps its response; ``head`` and ``read`` are called meanwhile.

    :raises Error: as `request`; INVALID for a stream that is closed.
    """
    op, number, *more = args
    if op == "hold":
        held = _streams[pid, number] = Stream()
        try:
            await held.hold(build(*more), more[2] or {})
        finally:
            held.head.cancel()
            del _streams[pid, number]
        return None
    found = _streams.get((pid, number))
    if found is None:
        raise invalid("the stream is closed")
    if op == "head":
        try:
            return await asyncio.shield(found.head)
        except asyncio.CancelledError:
            if not found.head.cancelled():
                raise
            raise invalid("there was no response") from None  # the outcome of its `hold` has the reason
    return await found.read(*more)


@contextlib.asynccontextmanager
async def _failures(
    outgoing: httpx.Request, options: dict[str, Any], deadline: float | None = None
) -> AsyncIterator[None]:
    """Limit the time of an exchange, and turn its failures into Saros errors."""
    where = f"{outgoing.method} {without_secrets(outgoing.url)}"
    timeout = options.get("timeout", DEFAULT_TIMEOUT)
    if deadline is None:
        deadline = asyncio.get_running_loop().time() + timeout / 1000
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as exc:
        message = f"{where}: no complete response within {timeout:g} ms"
        raise Error(message, TIMEOUT, retryable=True) from exc
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as exc:
        raise invalid(f"{where}: {exc}") from exc
    except httpx.TransportError as exc:
        raise Error(f"{where}: {str(exc) or type(exc).__name__}", UNAVAILABLE, retryable=True) from exc
    except (httpx.RequestError, httpx.StreamError) as exc:
        raise Error(f"{where}: {exc}", INTERNAL, retryable=False) from exc


@contextlib.asynccontextmanager
async def _response(outgoing: httpx.Request, options: dict[str, Any]) -> AsyncIterator[httpx.Response]:
    """Yield the response before its body is read."""
    async with contextlib.AsyncExitStack() as stack:
        if options.get("tls") or options.get("unix_socket") is not None:
            transport = await asyncio.to_thread(own_transport, options)
            client = await stack.enter_async_context(_new_client(transport=transport))
        else:
            client = await _client_of_this_loop()
        response = await client.send(outgoing, stream=True)
        stack.push_async_callback(response.aclose)
        yield response


def _head(response: httpx.Response) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.raw:
        headers.setdefault(_canonical(text_of(name)), []).append(text_of(value))
    cookies = {}
    for line in headers.get("Set-Cookie", []):
        cookie, mark, content = line.partition(";")[0].partition("=")
        if mark and cookie.strip():
            cookies[cookie.strip()] = content.strip()
    return {
        "status_code": response.status_code,
        "headers": {name: ", ".join(values) for name, values in headers.items()},
        "headers_all": headers,
        "cookies": cookies,
        "url": str(response.url),
    }


def _too_large(outgoing: httpx.Request, limit: int) -> Error:
    where = f"{outgoing.method} {without_secrets(outgoing.url)}"
    return Error(f"{where}: the response is larger than {limit} bytes", INTERNAL, retryable=False)


def _canonical(name: str) -> str:
    # Keys of tables are case-sensitive: names are always written like Content-Type.
    return "-".join(part.capitalize() for part in name.split("-"))


def text_of(data: bytes) -> str:
    """Return the text of a header: UTF-8, or ISO-8859-1 where it is not valid UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def text_or_bytes(body: bytes) -> str | bytes:
    """Return the value that Lua receives as the same string."""
    # Bytes cross as base64: faster than text with many JSON escapes.
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    return text if len(msgspec.json.encode(text)) <= len(body) * 1.05 + 64 else body


# The client ----------------------------------------------------------------------------------------

_clients: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}


def _new_client(**more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        # Executions do not share cookies.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        timeout=None,  # each request has one deadline for everything
        **more,
    )


async def _client_of_this_loop() -> httpx.AsyncClient:
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        client = _new_client(limits=httpx.Limits(max_connections=None, max_keepalive_connections=20))
        closer = _close_with_loop(loop, client)
        _clients[loop] = client, closer
        await anext(closer)
    return _clients[loop][0]


async def _close_with_loop(
    loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient
) -> AsyncGenerator[None, None]:
    """Close the client when its loop shuts down: the loop then closes the generators that have begun."""
    try:
        yield
    finally:
        del _clients[loop]
        await client.aclose()
