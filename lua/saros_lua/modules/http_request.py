"""Requests of the http_client module: built from Lua's arguments, or refused with a reason."""

from __future__ import annotations

import base64
import re
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from saros.model.errors import INVALID, Error

DEFAULT_TIMEOUT: Final = 30_000  # milliseconds
MOST_BODY: Final = 32 << 20  # the most bytes of a response in one piece
OPTIONS: Final = (
    *("auth", "body", "cookies", "files", "form", "headers", "max_response_body"),
    *("query", "stream", "timeout", "tls", "unix_socket"),
)
_TLS: Final = ("ca", "cert", "insecure_skip_verify", "key", "server_name")
_FILE: Final = ("content", "content_type", "filename", "name")

_METHOD: Final = re.compile(r"[A-Za-z-]+")
_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_COOKIE: Final = re.compile(rb"[^\x00-\x20\x7f\",;\\]*")
_FORM: Final = "application/x-www-form-urlencoded"


def build(method: Any, url: Any, options: Any) -> httpx.Request:
    """Return the request that the arguments describe.

    :raises Error: INVALID, not retryable.
    """
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise invalid(f"{method!r} is not a valid HTTP method")
    options = options or {}
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise invalid(f"unknown option {', '.join(unknown)}; known are {', '.join(OPTIONS)}")
    headers = _headers(options)
    content, files = options.get("body"), _files(options)
    data: dict[str, list[bytes]] | None = None
    if content is not None and not isinstance(content, (str, bytes)):
        raise invalid("body must be a string; json.encode makes one of a table")
    if content is not None and ("form" in options or files):
        raise invalid(f"give either body or {'files' if files else 'form'}")
    if files:
        if any(name.lower() == b"content-type" for name, _ in headers):
            raise invalid("files set the header Content-Type themselves")
        data = {}
        for name, value in _pairs(options, "form"):
            data.setdefault(name, []).append(value)
    elif "form" in options:
        content = urlencode(_pairs(options, "form"))
        headers.append((b"Content-Type", _FORM.encode()))
    timeout = options.get("timeout", DEFAULT_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise invalid("timeout must be a duration of more than 0; a number is seconds")
    request = httpx.Request(
        method.upper(), _url(url, options), headers=headers, content=content, data=data, files=files or None
    )
    server_name = _tls(options).get("server_name")
    if server_name is not None:
        request.extensions["sni_hostname"] = server_name
    return request


def body_limit(options: dict[str, Any], default: int) -> int:
    """Return how many bytes a response may have.

    :raises Error: INVALID.
    """
    limit = options.get("max_response_body") or default
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit <= MOST_BODY:
        raise invalid(
            f"max_response_body must be a number of bytes from 1 to {MOST_BODY}; stream larger ones"
        )
    return limit


def stream_limit(options: dict[str, Any]) -> int | None:
    """Return how many bytes a streamed response may have; None for any number.

    :raises Error: INVALID.
    """
    limit = options.get("max_response_body") or None
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise invalid("max_response_body must be a number of bytes")
    return limit


def own_transport(options: dict[str, Any]) -> httpx.AsyncHTTPTransport | None:
    """Return a transport for requests that must not share connections: with TLS options, or to a Unix socket.

    This may take some milliseconds, because it reads certificates.

    :raises Error: INVALID, when the options cannot be used.
    """
    tls, socket = _tls(options), options.get("unix_socket")
    if socket is not None and (not isinstance(socket, str) or not socket or "\0" in socket):
        raise invalid("unix_socket must be the path of a socket")
    if not tls and socket is None:
        return None
    return httpx.AsyncHTTPTransport(uds=socket, verify=_context(tls), trust_env=False)


def _context(tls: dict[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=tls.get("ca"))
        if tls.get("insecure_skip_verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if "cert" in tls:
            # The ssl module reads keys from files only. Nobody else can read this file, and it is deleted at once.
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "chain.pem")
                file.write_text(f"{tls['cert']}\n{tls.get('key', '')}")
                context.load_cert_chain(file)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise invalid(
            "the certificates or the key of tls cannot be used; they are texts in PEM form"
        ) from exc
    return context


def _tls(options: dict[str, Any]) -> dict[str, Any]:
    tls = options.get("tls") or {}
    if not isinstance(tls, dict) or set(tls) - set(_TLS):
        raise invalid(f"tls must be a table of {', '.join(_TLS)}")
    for name, value in tls.items():
        wanted: type = bool if name == "insecure_skip_verify" else str
        if not isinstance(value, wanted) or value == "":
            what = (
                "true or false"
                if wanted is bool
                else "a string"
                if name == "server_name"
                else "a string in PEM form"
            )
            raise invalid(f"tls.{name} must be {what}")
    if "key" in tls and "cert" not in tls:
        raise invalid("tls.key needs tls.cert")
    return tls


def _files(options: dict[str, Any]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return the files of an upload, as httpx expects them."""
    given = options.get("files") or []
    if not isinstance(given, list):
        raise invalid(
            "files must be a list of {name = ..., content = ..., filename = ..., content_type = ...}"
        )
    files = []
    for number, file in enumerate(given, 1):
        if not isinstance(file, dict) or set(file) - set(_FILE):
            raise invalid(f"files[{number}] must be a table of {', '.join(_FILE)}")
        name, content = file.get("name"), file.get("content")
        if not isinstance(name, str) or not name or not isinstance(content, (str, bytes)):
            raise invalid(f"files[{number}] needs a name and a content, both strings")
        filename, media = file.get("filename", name), file.get("content_type", "application/octet-stream")
        if not isinstance(filename, str) or not isinstance(media, str) or _CONTROL.search(media.encode()):
            raise invalid(f"files[{number}]: filename and content_type must be strings")
        files.append((name, (filename, content.encode() if isinstance(content, str) else content, media)))
    return files


def _headers(options: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = _pairs(options, "headers")
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise invalid(f"{name!r} is not a valid header name")
        if _CONTROL.search(value):
            raise invalid(f"the header {name} must be a string without line breaks or control characters")
        if value != value.strip(b" \t"):
            raise invalid(f"the header {name} must not begin or end with a blank")
    if not any(name.lower() == "user-agent" for name, _ in headers):
        headers.append(("User-Agent", b"saros"))
    headers += _authorization(options)
    cookies = []
    for name, value in _pairs(options, "cookies"):
        if not _NAME.fullmatch(name) or not _COOKIE.fullmatch(value):
            raise invalid(
                f"cookies.{name} is not a valid cookie: blanks, quotes, commas and semicolons must be encoded"
            )
        cookies.append(name.encode() + b"=" + value)
    if cookies:
        headers.append(("Cookie", b"; ".join(cookies)))
    return [(name.encode(), value) for name, value in headers]


def _url(url: Any, options: dict[str, Any]) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as exc:
        raise invalid(f"{url!r} is not a valid URL: {exc}") from exc
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise invalid(
            f"{without_secrets(parsed)!r} is not a URL of the form http://host/path or https://host/path"
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
            raise invalid("auth must be {user = ..., pass = ...} or {bearer = ...}")
    return [("Authorization", header.encode())]


def _pairs(options: dict[str, Any], name: str) -> list[tuple[str, bytes]]:
    """Yield the names and values of an option; a list repeats its name."""
    table = options.get(name) or {}
    if not isinstance(table, dict):
        raise invalid(f"{name} must be a table with names as keys")
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
    raise invalid(f"{path} must be a string, a number or a boolean")


def without_secrets(url: httpx.URL) -> str:
    """Return a URL as messages show it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def invalid(message: str) -> Error:
    """Return the error for faulty arguments."""
    return Error(f"http_client: {message}", INVALID, retryable=False)
