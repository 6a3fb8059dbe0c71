"""The service behind the module http_client, against a server of our own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from saros.model import errors, values
from saros.model.errors import Error
from saros_lua.modules import http_client

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


@contextlib.asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """Serves one answer per connection; yields the base URL."""

    handlers: list[asyncio.Task[Any]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [
                line.split(b":")[1]
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            ]
            await answer(head + await reader.readexactly(int(length[0]) if length else 0), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has had enough, or the test
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listener:
        try:
            yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            for handler in handlers:  # one that never answers would keep the listener from closing
                handler.cancel()
            await asyncio.gather(*handlers)
            await asyncio.sleep(0)  # closed transports let go of their sockets


def reply(status: str, body: bytes, *headers: str) -> Answer:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return answer


async def echo(request: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers with the request."""
    await reply("200 OK", request)(request, writer)


async def ask(method: str, url: str, **options: Any) -> dict[str, Any]:
    return await http_client.request("caller", [method, url, options])


def fetch(answer: Answer, method: str = "GET", path: str = "/", **options: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        async with server(answer) as base:
            return await ask(method, base + path, **options)

    return asyncio.run(main())


def refused(answer: Answer = echo, method: str = "GET", path: str = "/", **options: Any) -> Error:
    with pytest.raises(Error) as caught:
        fetch(answer, method, path, **options)
    return caught.value


def test_a_response_has_status_headers_body_and_url() -> None:
    answer = reply("404 Not Found", b'{"a":1}', "x-request-id: 7", "CONTENT-TYPE: text/x")
    got = fetch(answer, path="/missing?a=1")
    assert got["status_code"] == 404
    assert got["body"] == '{"a":1}'
    assert got["headers"]["X-Request-Id"] == "7"
    assert got["headers"]["Content-Type"] == "text/x"
    assert got["url"].endswith("/missing?a=1")


def test_binary_bodies_survive_both_ways() -> None:
    body = bytes(range(256)) * 300
    got = fetch(echo, "POST", body=body)
    assert got["body"].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "propfind"])
def test_methods_and_bodies_arrive(method: str) -> None:
    lines = fetch(echo, method, "/x", body="größe")["body"].split("\r\n")
    assert lines[0] == f"{method.upper()} /x HTTP/1.1"
    assert lines[-1] == "größe"


def test_head_has_no_body() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n")

    got = fetch(answer, "HEAD")
    assert got["body"] == ""
    assert got["headers"]["Content-Length"] == "9"


@pytest.mark.parametrize("body", [b"\0" * 10_000, b"\xff" * 10_000, b'"\n' * 5_000, b"text" * 2_500])
def test_a_response_grows_by_a_third_at_most_on_its_way_to_lua(body: bytes) -> None:
    got = fetch(reply("200 OK", body))["body"]
    assert (got.encode() if isinstance(got, str) else got) == body
    assert len(values.encode(got)) < len(body) * 4 / 3 + 100


def test_query_is_added_to_the_url() -> None:
    query = {"q": "a b&c", "n": 3, "ok": True, "tag": ["x", "y"], "raw": b"\xff"}
    line = fetch(echo, path="/s?first=1", query=query)["body"].split("\r\n")[0]
    assert line == "GET /s?first=1&q=a+b%26c&n=3&ok=true&tag=x&tag=y&raw=%FF HTTP/1.1"


def test_form_is_sent_urlencoded() -> None:
    got = fetch(echo, "POST", form={"user": "a b", "n": 1})["body"]
    assert "Content-Type: application/x-www-form-urlencoded" in got
    assert got.endswith("\r\n\r\nuser=a+b&n=1")


def test_headers_arrive() -> None:
    got = fetch(echo, headers={"X-One": "1", "X-Many": ["a", "b"], "X-Text": "größe", "user-agent": "mine"})[
        "body"
    ]
    for line in ("X-One: 1", "X-Many: a", "X-Many: b", "X-Text: größe", "user-agent: mine"):
        assert f"{line}\r\n" in got
    assert "saros" not in got


@pytest.mark.parametrize(
    ("auth", "header"), [({"user": "u", "pass": "p"}, "Basic dTpw"), ({"bearer": "t0ken"}, "Bearer t0ken")]
)
def test_authorization(auth: dict[str, str], header: str) -> None:
    assert f"Authorization: {header}\r\n" in fetch(echo, auth=auth)["body"]


def test_compressed_responses_are_unpacked() -> None:
    got = fetch(reply("200 OK", gzip.compress(b"text"), "Content-Encoding: gzip"))
    assert got["body"] == "text"


def test_redirects_are_followed() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        moved = request.startswith(b"GET /old")
        way = reply("302 Found", b"", "Location: /new") if moved else reply("200 OK", b"here")
        await way(request, writer)

    got = fetch(answer, path="/old")
    assert got["body"] == "here"
    assert got["url"].endswith("/new")


def test_endless_redirects_are_an_error() -> None:
    error = refused(reply("302 Found", b"", "Location: /again"))
    assert error.kind == errors.INTERNAL
    assert "redirect" in error.message


def test_cookies_of_one_request_are_not_sent_with_the_next() -> None:
    async def main() -> str:
        async with server(reply("200 OK", b"", "Set-Cookie: session=secret; Path=/")) as base:
            await ask("GET", base)
        async with server(echo) as base:
            return str((await ask("GET", base))["body"])

    assert "secret" not in asyncio.run(main())


def test_cookies_go_both_ways() -> None:
    answer = fetch(echo, cookies={"a": "1", "b": "x=y"}, headers={"Cookie": "c=3"})
    assert "Cookie: c=3\r\n" in answer["body"]
    assert "Cookie: a=1; b=x=y\r\n" in answer["body"]
    lines = ("Set-Cookie: a=1; Path=/; HttpOnly", "Set-Cookie: b=2; Expires=Wed, 21 Oct 2099 07:28:00 GMT")
    answer = fetch(reply("200 OK", b"", *lines))
    assert answer["cookies"] == {"a": "1", "b": "2"}
    assert answer["headers_all"]["Set-Cookie"] == [line.removeprefix("Set-Cookie: ") for line in lines]


def test_repeated_headers_go_both_ways() -> None:
    assert "X-A: 1\r\nX-A: 2\r\n" in fetch(echo, headers={"X-A": ["1", "2"]})["body"]
    answer = fetch(reply("200 OK", b"", "X-A: 1", "x-a: 2"))
    assert answer["headers"]["X-A"] == "1, 2"
    assert answer["headers_all"]["X-A"] == ["1", "2"]


@pytest.mark.parametrize("written", ["é".encode(), "é".encode("latin-1")])
def test_headers_are_utf_8_and_else_latin_1(written: bytes) -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: " + written + b"\r\nX-B: \xc3\xa9\r\n\r\n"
        )
        await writer.drain()

    headers = fetch(answer)["headers"]
    assert (headers["X-A"], headers["X-B"]) == ("é", "é")
    assert "X-A: é\r\n" in fetch(echo, headers={"X-A": "é"})["body"]


def test_files_are_sent_as_a_form() -> None:
    files = [
        {"name": "file", "filename": 'a"\r\nb.txt', "content": "text", "content_type": "text/plain"},
        {"name": "raw", "content": b"\xff"},
    ]
    body = fetch(echo, "POST", form={"title": ["x", "é"]}, files=files)["body"]
    text = body if isinstance(body, str) else body.decode("latin-1")
    assert "multipart/form-data; boundary=" in text
    assert text.count('name="title"') == 2
    assert 'filename="a%22%0D%0Ab.txt"\r\nContent-Type: text/plain\r\n\r\ntext\r\n' in text
    assert 'name="raw"; filename="raw"\r\nContent-Type: application/octet-stream\r\n\r\n\xff' in text


def test_the_body_that_a_caller_wants_at_most() -> None:
    assert fetch(reply("200 OK", b"x" * 10), max_response_body=10)["body_size"] == 10
    error = refused(reply("200 OK", b"x" * 11), max_response_body=10)
    assert (error.kind, "larger than 10 bytes" in error.message) == (errors.INTERNAL, True)
    assert fetch(reply("200 OK", b"x"), max_response_body=0)["body_size"] == 1


def test_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await echo(await reader.readuntil(b"\r\n\r\n"), writer)
            writer.close()

        path = str(tmp_path / "s")
        async with await asyncio.start_unix_server(handle, path):
            return await ask("GET", "http://localhost/x", unix_socket=path)

    assert asyncio.run(main())["body"].startswith("GET /x HTTP/1.1\r\nHost: localhost\r\n")
    with pytest.raises(Error) as caught:
        asyncio.run(ask("GET", "http://localhost/x", unix_socket=str(tmp_path / "none")))
    assert (caught.value.kind, caught.value.retryable) == (errors.UNAVAILABLE, True)


def test_a_response_that_never_comes_is_a_timeout() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    error = refused(answer, path="/slow?key=secret", timeout=50)
    assert (error.kind, error.retryable) == (errors.TIMEOUT, True)
    assert "/slow: no complete response within 50 ms" in error.message
    assert "secret" not in error.message


def test_the_timeout_covers_a_response_that_trickles() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.005)

    assert refused(answer, timeout=100).kind == errors.TIMEOUT


def test_a_refused_connection_is_unavailable() -> None:
    async def main() -> None:
        async with server(echo) as base:
            pass
        await ask("GET", base)

    with pytest.raises(Error) as caught:
        asyncio.run(main())
    assert (caught.value.kind, caught.value.retryable) == (errors.UNAVAILABLE, True)


def test_a_broken_off_response_is_unavailable() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    assert refused(answer).kind == errors.UNAVAILABLE


def test_a_damaged_encoding_is_internal() -> None:
    error = refused(reply("200 OK", b"not gzip", "Content-Encoding: gzip"))
    assert (error.kind, error.retryable) == (errors.INTERNAL, False)


def test_the_size_of_a_response_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY", 1000)
    assert len(fetch(reply("200 OK", b"x" * 1000))["body"]) == 1000
    bomb = gzip.compress(b"x" * 100_000)
    for answer in (reply("200 OK", b"x" * 1001), reply("200 OK", bomb, "Content-Encoding: gzip")):
        error = refused(answer)
        assert (error.kind, error.retryable) == (errors.INTERNAL, False)
        assert "larger than 1000 bytes" in error.message


@pytest.mark.parametrize(
    "url",
    ["", "no url", "/path", "ftp://host/x", "http://", "http://[::1", "http://host:port/", b"\xff", 7, None],
)
def test_a_bad_url_is_invalid(url: Any) -> None:
    with pytest.raises(Error) as caught:
        asyncio.run(ask("GET", url))
    assert (caught.value.kind, caught.value.retryable) == (errors.INVALID, False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"headers": "x"}, "headers must be a table"),
        ({"headers": ["x"]}, "headers must be a table"),
        ({"headers": {"A": {}}}, "headers.A must be"),
        ({"headers": {"A": "x\r\nB: y"}}, "header"),
        ({"headers": {"A b": "x"}}, "header"),
        ({"query": 7}, "query must be a table"),
        ({"form": {"a": None}}, "form.a must be"),
        ({"body": {"a": 1}}, "json.encode"),
        ({"body": "x", "form": {"a": 1}}, "either body or form"),
        ({"auth": {"user": "u"}}, "auth must be"),
        ({"auth": "x"}, "auth must be"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "x"}, "timeout"),
        ({"jsn": 1}, "unknown option jsn; known are auth"),
        ({"headers": {"A": "secret "}}, "the header A must not begin or end with a blank"),
        ({"cookies": {"a": "b; c"}}, "cookies.a is not a valid cookie"),
        ({"cookies": {"a b": "c"}}, "cookies.a b is not a valid cookie"),
        ({"files": {"a": "b"}}, "files must be a list"),
        ({"files": [{"name": "a"}]}, "files[1] needs a name and a content"),
        ({"files": [{"name": "a", "content": "b", "reader": 1}]}, "files[1] must be a table of"),
        ({"files": [{"name": "a", "content": "b"}], "body": "c"}, "either body or files"),
        ({"files": [{"name": "a", "content": "b"}], "headers": {"content-type": "c"}}, "Content-Type"),
        ({"max_response_body": -1}, "max_response_body must be a number of bytes from 1 to 33554432"),
        ({"max_response_body": 1 << 40}, "max_response_body"),
        ({"tls": {"verify": False}}, "tls must be a table of ca, cert, insecure_skip_verify"),
        ({"tls": {"insecure_skip_verify": "yes"}}, "tls.insecure_skip_verify must be true or false"),
        ({"tls": {"ca": "nonsense"}}, "texts in PEM form"),
        ({"tls": {"key": "x"}}, "tls.key needs tls.cert"),
        ({"unix_socket": ""}, "unix_socket must be the path of a socket"),
    ],
)
def test_bad_options_are_invalid(options: dict[str, Any], text: str) -> None:
    error = refused(echo, **options)
    assert (error.kind, error.retryable) == (errors.INVALID, False)
    assert text in error.message


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\n", 7])
def test_a_bad_method_is_invalid(method: Any) -> None:
    assert refused(echo, method).kind == errors.INVALID


def test_a_loop_has_one_client_which_is_closed_with_it() -> None:
    seen = []

    async def main() -> None:
        async with server(echo) as base:
            await asyncio.gather(*(ask("GET", base) for _ in range(5)))
        seen.append(await http_client._client_of_this_loop())
        assert len(http_client._clients) == 1
        assert not seen[-1].is_closed

    for _ in range(2):
        asyncio.run(main())
    assert seen[0] is not seen[1]
    assert all(client.is_closed for client in seen)
    assert http_client._clients == {}


def test_lua_hands_the_request_to_the_service(commands) -> None:
    options = "{body = 'x', timeout = '1s', headers = {A = 1}}"
    ((op, body),) = commands(f"return require('http_client').post('http://h/', {options})")
    assert op == "call"
    sent = {"body": "x", "timeout": 1000.0, "headers": {"A": 1}}
    assert json.loads(body) == {"target": "@http_client", "args": ["POST", "http://h/", sent]}


@pytest.mark.parametrize(
    ("timeout", "milliseconds"),
    [("2", 2000.0), ("0.25", 250.0), ("'1m'", 60_000.0), ("require('time').parse_duration('3s')", 3000.0)],
)
def test_a_timeout_that_is_a_number_is_seconds(commands, timeout: str, milliseconds: float) -> None:
    ((_, body),) = commands(f"return require('http_client').get('http://h/', {{timeout = {timeout}}})")
    assert json.loads(body)["args"][2] == {"timeout": milliseconds}


def test_a_bad_timeout_names_the_unit(failure) -> None:
    for timeout in ("0", "-1", "'x'", "{}", "require('time').SECOND", "5 * require('time').SECOND"):
        message = failure(f"require('http_client').get('http://h', {{timeout = {timeout}}})")[2]
        assert message.endswith("a number is seconds")


def test_texts_of_queries(run) -> None:
    source = """
      local c = require('http_client')
      local text = 'a b+c&d=é/%~-_.'
      local same = c.decode_uri(c.encode_uri(text)) == text
      return c.encode_uri(text) .. ' ' .. tostring(same) .. ' ' .. c.decode_uri('a+%41')"""
    assert run(source) == "a+b%2Bc%26d%3D%C3%A9%2F%25~-_. true a A"


@pytest.mark.parametrize(
    "call",
    [
        "get('http://h', {timeout = -1})", "get('http://h', {stream = 1})", "encode_uri(5)", "decode_uri('%')",
        "decode_uri('%4')", "decode_uri('%zz')", "request_batch()", "request_batch({})", "request_batch({1})",
        "request_batch({{'GET'}})", "request_batch({{'GET', 'http://h', {stream = true}}})",
        "get()", "get('')", "get(7)", "get('http://h', 7)", "get('http://h', {timeout = 'x'})",
        "get('http://h', {timeout = 0})", "request('', 'http://h')", "request(nil, 'http://h')",
        "request('GET')", "post('http://h', {body = print})",
    ],
)  # fmt: skip
def test_lua_refuses_bad_arguments(failure, call: str) -> None:
    assert failure(f"require('http_client').{call}")[:2] == ("Invalid", False)
