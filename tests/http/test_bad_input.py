"""Clients that are wrong, slow or hostile: each gets the right status, and the worker keeps serving."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMIT = 10_000


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "POST /body": "local text, err = http.request():body() if err then error(err) end return {#text}",
            "POST /stream": """
              local stream, n = http.request():stream(), 0
              for part in function() return stream:read() end do n = n + #part end
              return {n}""",
            "POST /unread": "return {true}",
            "POST /tiny": "return {#http.request():body()}",
            "POST /only": "return {true}",
            "POST /form": """
              local form, err = http.request():parse_multipart()
              return {err and err:kind() or "ok"}""",
            "POST /fields": """
              local form, err = http.request():form()
              return {err and err:kind() or "ok"}""",
            "GET /x/{id}": "return http.response():json({http.request():param('id')})",
            "PUT /x/{id}": "return http.response():json({http.request():body_json() ~= nil})",
            "GET /big": 'return http.response():write(string.rep("x", 8000000))',
        },
        service={
            "limits": {"body": LIMIT, "header": 8192, "requests": 50},
            "timeouts": {"header": "300ms", "read": "300ms", "write": "300ms", "idle": "1s"},
        },
        endpoints={
            "POST /tiny": {"max_body": 5},
            "POST /only": {"accepts": ["application/json", "text/csv"]},
        },
    )


def parsed(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status and the problem document of one raw response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, raw
    problem = json.loads(body)
    status = int(head.split()[1])
    assert problem["status"] == status
    assert set(problem) <= {"type", "title", "status", "detail", "request_id"}
    return status, problem


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(1 << 16):
        data += part
    return data


def alive(site: Any) -> None:
    assert site.get("/x/1").json() == ["1"]


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("path", ["/body", "/stream", "/unread"])
def test_content_length_above_the_limit(site: Any, path: str) -> None:
    status, problem = parsed(site.raw(head("POST", path, f"Content-Length: {LIMIT + 1}")))
    assert (status, problem["detail"]) == (413, f"The body is larger than {LIMIT} bytes.")
    alive(site)


@pytest.mark.parametrize("path", ["/body", "/stream"])
def test_too_large_in_chunks(site: Any, path: str) -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    raw = site.raw(head("POST", path, "Transfer-Encoding: chunked"), chunk * 4, b"0\r\n\r\n")
    assert parsed(raw)[0] == 413
    alive(site)


def test_an_endpoints_own_limit(site: Any) -> None:
    assert site.post("/tiny", content=b"12345").json() == [5]
    assert site.post("/tiny", content=b"123456").status_code == 413


def test_body_at_the_limit(site: Any) -> None:
    assert site.post("/body", content=b"x" * LIMIT).json() == [LIMIT]
    assert site.post("/stream", content=iter([b"x" * LIMIT])).json() == [LIMIT]


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["/body", "/stream"])
def test_slow_bodies(site: Any, path: str, framing: str) -> None:
    start = b"a" if "Length" in framing else b"1\r\na\r\n"
    status, problem = parsed(site.raw(head("POST", path, framing), start))
    assert (status, problem["detail"]) == (408, "The body did not arrive in time.")
    alive(site)


@pytest.mark.parametrize("start", [b"GET / HT", b"GET / HTTP/1.1\r\nHost:"])
def test_slow_heads(site: Any, start: bytes) -> None:
    assert parsed(site.raw(start))[0] == 408


def test_a_silent_connection_is_closed(site: Any) -> None:
    assert site.raw() == b""


def test_a_slow_second_request(site: Any) -> None:
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(head("GET", "/x/1"))
        assert b"200 OK" in sock.recv(10_000)
        sock.sendall(b"GET /x/2 HT")
        assert b"HTTP/1.1 408" in read_all(sock)


def test_a_client_that_does_not_read(site: Any) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(site.address)
        sock.sendall(head("GET", "/big"))
        deadline = time.monotonic() + 10
        while "saros_http_requests_active 0" not in site.get(f"{site.admin}/metrics").text:
            assert time.monotonic() < deadline
    alive(site)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 9000, 431),
        (b"GET /" + b"a" * 9000, 431),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            400,
        ),  # a TLS handshake to a server that speaks plain HTTP
        (b"GET http://other.example/x/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"CONNECT other.example:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ],
)
def test_input_that_is_not_http(site: Any, sent: bytes, status: int) -> None:
    raw = site.raw(sent)
    assert parsed(raw)[0] == status
    assert b"Traceback" not in raw
    alive(site)


def test_unknown_routes_and_methods(site: Any) -> None:
    for path in ("/", "/x", "/x/", "/x/1/2", "//x/1", "/X/1", "/%2e%2e/x"):
        answer = site.get(path)
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found"), path
    answer = site.delete("/x/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, PUT")
    assert site.request("BREW", "/x/1").status_code == 405
    answer = site.options("/x/1")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, PUT")


def test_wrong_content_types(site: Any) -> None:
    answer = site.post("/only", content=b"a", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert answer.json()["detail"] == "The body must be application/json or text/csv."
    assert site.post("/only", content=b"a").status_code == 415
    for content_type in ("text/csv; charset=utf-8", "TEXT/CSV"):
        assert site.post("/only", content=b"a", headers={"Content-Type": content_type}).status_code == 200


def test_too_many_query_parameters(site: Any) -> None:
    assert site.get("/x/1?" + "a&" * 1001).status_code == 400


def test_bad_request_ids_are_replaced(site: Any) -> None:
    for bad in ("a b", "x" * 200, "é".encode()):
        assert len(site.get("/x/1", headers={"X-Request-ID": bad}).headers["x-request-id"]) == 32


_TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABC-_.!", min_size=1, max_size=12)
_METHOD = st.one_of(st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]), _TOKEN)
_PATH = st.one_of(
    st.sampled_from(["/body", "/stream", "/form", "/fields", "/tiny", "/only", "/x/1", "/unread"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60).map(lambda text: f"/{text}"),
    st.text(max_size=20).map(
        lambda text: "/x/" + "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))
    ),
)
_HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["Content-Type", "Accept", "Cookie", "X-Request-ID", "Expect", "Origin", "Range", "Upgrade"]
        ),
        _TOKEN,
    ),
    st.one_of(
        st.sampled_from(
            [
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "100-continue",
                "bytes=0-",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    ),
    max_size=5,
)

_BODY = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                b"--x",
                b"--x--",
                b"\r\n",
                b'Content-Disposition: form-data; name="a"',
                b"; filename=b",
                b"\xff\x00",
                b"a=%ff&",
            ]
        ),
        max_size=12,
    ).map(b"".join),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=_METHOD, path=_PATH, headers=_HEADERS, body=_BODY)
def test_no_request_is_a_server_error(
    site: Any, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    framing = {"Host": "x", "Connection": "close", "Content-Length": str(len(body))}
    taken = {name.lower() for name in framing} | {"transfer-encoding", "te", "trailer", "keep-alive"}
    lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in taken]
    lines += [f"{name}: {value}" for name, value in framing.items()]
    raw = site.raw(head(method, path, *lines), body)
    status = int(raw.split(None, 2)[1])
    assert status < 500, raw
    if status == 100:
        raw = raw.partition(b"\r\n\r\n")[2]
        status = int(raw.split(None, 2)[1])
    if status >= 400 and method != "HEAD":
        assert parsed(raw)[0] == status


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.binary(min_size=1, max_size=300))
def test_no_bytes_harm_the_server(site: Any, sent: bytes) -> None:
    raw = site.raw(sent + b"\r\n\r\n")
    assert raw == b"" or raw.startswith(b"HTTP/1.1 4")


def test_the_server_is_still_there(site: Any) -> None:
    alive(site)
    assert "saros_http_requests_active 0" in site.get(f"{site.admin}/metrics").text
