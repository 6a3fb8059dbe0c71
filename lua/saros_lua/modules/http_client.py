"""The service behind the http_client module: one request, its response in one piece."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from saros.errors import INTERNAL, INVALID, TIMEOUT, UNAVAILABLE, Error
from saros.plain import shown, without_secrets

MAX_BODY: Final = 8 << 20  # bytes; a program's memory has room for it three times over
DEFAULT_TIMEOUT: Final = 30_000  # milliseconds
MAX_REDIRECTS: Final = 10
OPTIONS: Final = ("auth", "body", "form", "headers", "query", "timeout")

_METHOD: Final = re.compile(r"[A-Za-z-]+")
_FORM: Final = "application/x-www-form-urlencoded"


async def request(pid: str, args: list[Any]) -> dict[str, Any]:
    """Make a request; `args` are method, URL and options (`OPTIONS`; `timeout` in milliseconds).

    :raises Error: INVALID for arguments, TIMEOUT, UNAVAILABLE for failures of the network, INTERNAL for a
        response that is larger than `MAX_BODY`, is damaged, or redirects without end.
    """
    outgoing = build(*args)
    timeout = (args[2] or {}).get("timeout", DEFAULT_TIMEOUT)
    where = f"{outgoing.method} {_without_secrets(outgoing.url)}"
    try:
        async with asyncio.timeout(timeout / 1000):
            return await _exchange(outgoing, where)
    except TimeoutError as exc:
        raise Error(f"{where}: no complete response within {timeout:g} ms", TIMEOUT) from exc
    except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as exc:
        raise _invalid(f"{where}: {exc}") from exc
    except httpx.TransportError as exc:
        raise Error(f"{where}: {str(exc) or type(exc).__name__}", UNAVAILABLE) from exc
    except httpx.RequestError as exc:
        raise Error(f"{where}: {exc}", INTERNAL, retryable=False) from exc


async def _exchange(outgoing: httpx.Request, where: str) -> dict[str, Any]:
    client = await _client_of_this_loop()
    response = await client.send(outgoing, stream=True)
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                message = f"{where}: the response is larger than {MAX_BODY} bytes"
                raise Error(message, INTERNAL, retryable=False)
    finally:
        await response.aclose()
    return {
        "status_code": response.status_code,
        "headers": {_canonical(name): value for name, value in response.headers.items()},
        "body": _text_or_bytes(bytes(body)),
        "url": str(response.url),
    }


def _canonical(name: str) -> str:
    # Tables know no case-insensitive keys: names are always written like Content-Type.
    return "-".join(part.capitalize() for part in name.split("-"))


def _text_or_bytes(body: bytes) -> str | bytes:
    # To Lua they are the same. Bytes cross as base64: quicker than a text with much that JSON escapes.
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return body
    return text if len(msgspec.json.encode(text)) <= len(body) * 1.05 + 64 else body


# The request ---------------------------------------------------------------------------------------


def build(method: Any, url: Any, options: Any) -> httpx.Request:
    """Return the request that the arguments ask for.

    :raises Error: INVALID, not retryable.
    """
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise _invalid(f"{shown(method)} is no HTTP method")
    options = options or {}
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise _invalid(f"unknown option {', '.join(unknown)}; known are {', '.join(OPTIONS)}")
    headers = _pairs(options, "headers")
    if not any(name.lower() == "user-agent" for name, _ in headers):
        headers.append(("User-Agent", b"saros"))
    body = options.get("body")
    if body is not None and not isinstance(body, (str, bytes)):
        raise _invalid("body must be a text; json.encode makes one of a table")
    if "form" in options:
        if body is not None:
            raise _invalid("give either body or form")
        body = urlencode(_pairs(options, "form"))
        headers.append(("Content-Type", _FORM.encode()))
    headers += _authorization(options)
    timeout = options.get("timeout", DEFAULT_TIMEOUT)
    if not isinstance(timeout, (int, float)) or timeout <= 0:
        raise _invalid("timeout must be a duration of more than 0")
    encoded = [(name.encode(), value) for name, value in headers]
    return httpx.Request(method.upper(), _url(url, options), headers=encoded, content=body)


def _url(url: Any, options: dict[str, Any]) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as exc:
        raise _invalid(f"{shown(without_secrets(url))} is no URL: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise _invalid(
            f"{shown(_without_secrets(parsed))} is no URL of the form http://host/path or https://host/path"
        )
    query = urlencode(_pairs(options, "query")).encode()
    if query:
        parsed = parsed.copy_with(query=parsed.query + b"&" + query if parsed.query else query)
    return parsed


def _authorization(options: dict[str, Any]) -> list[tuple[str, bytes]]:
    auth = options.get("auth")
    if auth is None:
        return []
    match auth:
        case {"user": str(user), "pass": str(password), **rest} if not rest:
            header = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        case {"bearer": str(token), **rest} if not rest:
            header = f"Bearer {token}"
        case _:
            raise _invalid("auth must be {user = ..., pass = ...} or {bearer = ...}")
    return [("Authorization", header.encode())]


def _pairs(options: dict[str, Any], name: str) -> list[tuple[str, bytes]]:
    """The names and values of an option; a list stands for a name that occurs several times."""
    table = options.get(name) or {}
    if not isinstance(table, dict):
        raise _invalid(f"{name} must be a table with names as keys")
    pairs = []
    for key, value in table.items():
        for item in value if isinstance(value, list) else [value]:
            pairs.append((key, _scalar(item, f"{name}.{key}")))
    return pairs


def _scalar(value: Any, path: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (str, int, float)):
        return str(value).encode()
    raise _invalid(f"{path} must be a text, a number or a boolean")


def _without_secrets(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _invalid(message: str) -> Error:
    return Error(f"http_client: {message}", INVALID, retryable=False)


# The client ----------------------------------------------------------------------------------------

_clients: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}


async def _client_of_this_loop() -> httpx.AsyncClient:
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        client = httpx.AsyncClient(
            # Cookies of one execution are not another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            timeout=None,  # each request has a deadline for the whole of it
        )
        closer = _close_with_loop(loop, client)
        _clients[loop] = client, closer
        await anext(closer)
    return _clients[loop][0]


async def _close_with_loop(
    loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient
) -> AsyncGenerator[None, None]:
    """Closes the client when its loop shuts down: a loop then closes the generators that it has begun."""
    try:
        yield
    finally:
        del _clients[loop]
        await client.aclose()
