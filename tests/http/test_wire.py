"""HTTP/1.1 on the wire: no ambiguous requests, and no connection stays open for a request that stalls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from .test_bad_input import head, parsed, read_all

ONE = b"GET /x/1 HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /x/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "POST /body": "local text, err = http.request():body() if err then error(err) end return {#text}",
            "POST /unread": "return {true}",
            "POST /form": "local form, err = http.request():form() return {err and err:message() or #form.a}",
            "GET /x/{id}": "return http.response():json({http.request():param('id')})",
            "GET /": 'return {http.request():query("id") or "none"}',
            "GET /slow": 'time.sleep("300ms") return {"slow"}',
            "GET /endless": 'process.events():receive() return {"left"}',
            "POST /headers": """
              http.request():body()
              return {http.request():header("x-late") or "none", http.request():header("a") or "none"}""",
            "TRACE /trace": "return {http.request():method() == http.METHOD.TRACE}",
        },
        service={"timeouts": {"header": "1s", "read": "2s", "idle": "2s"}, "limits": {"body": 4_000_000}},
    )


def closed(site: Any, *parts: bytes) -> bytes:
    """Return everything received until the server closes; the test fails if it does not close."""
    return bytes(site.raw(*parts))


def post(*lines: bytes, version: bytes = b"1.1", path: bytes = b"/body") -> bytes:
    return b"POST " + path + b" HTTP/" + version + b"\r\nHost: x\r\n" + b"".join(lines) + b"\r\n"


CL, TE = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "length and chunked": (post(CL, TE), 400),
    "chunked and length": (post(TE, CL), 400),
    "a trailer of length": (post(TE) + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "two lengths": (post(CL, CL), 400),
    "a list of lengths": (post(b"Content-Length: 5, 5\r\n"), 400),
    "a signed length": (post(b"Content-Length: +5\r\n"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x5\r\n"), 400),
    "an empty length": (post(b"Content-Length:\r\n"), 400),
    "a length in two words": (post(b"Content-Length: 5 5\r\n"), 400),
    "a length beyond all": (post(b"Content-Length: " + b"9" * 40 + b"\r\n"), 400),
    "chunked twice": (post(TE, TE), 400),
    "chunked twice in one": (post(b"Transfer-Encoding: chunked, chunked\r\n"), 400),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n"), 501),
    "chunked, gzip": (post(b"Transfer-Encoding: chunked, gzip\r\n"), 400),
    "identity": (post(b"Transfer-Encoding: identity\r\n"), 501),
    "xchunked": (post(b"Transfer-Encoding: xchunked\r\n"), 501),
    "quoted": (post(b'Transfer-Encoding: "chunked"\r\n'), 501),
    "with a parameter": (post(b"Transfer-Encoding: chunked;a=b\r\n"), 501),
    "an empty coding": (post(b"Transfer-Encoding:\r\n"), 400),
    "a vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n"), 400),
    "a blank before the colon": (post(b"Transfer-Encoding : chunked\r\n"), 400),
    "chunked in HTTP/1.0": (post(TE, version=b"1.0"), 400),
    "a folded coding": (post(b"Transfer-Encoding:\r\n chunked\r\n"), 400),
    "a folded header": (post(b"A: b\r\n c\r\n"), 400),
    "a header that begins with a blank": (post(b" A: b\r\n"), 400),
    "bare line feeds": (b"GET /x/1 HTTP/1.1\nHost: x\n\n", 400),
    "one bare line feed": (post(b"A: b\n"), 400),
    "a bare carriage return": (post(b"A: b\rc\r\n"), 400),
    "NUL in a value": (post(b"A: b\x00\r\n"), 400),
    "NUL in a name": (post(b"A\x00: b\r\n"), 400),
    "NUL in a path": (b"GET /x/\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no name": (post(b": b\r\n"), 400),
    "no host": (b"GET /x/1 HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /x/1 HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "a host that is none": (b"GET /x/1 HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a chunk of no size": (post(TE) + b"\r\n\r\n", 400),
    "a chunk of a wrong size": (post(TE) + b"1\r\nab\r\n0\r\n\r\n", 400),
    "a chunk with 0x": (post(TE) + b"0x1\r\na\r\n0\r\n\r\n", 400),
    "a chunk with a bare line feed": (post(TE) + b"1\na\r\n0\r\n\r\n", 400),
    "an extension with a bare line feed": (post(TE) + b"1;a\nb\r\na\r\n0\r\n\r\n", 400),
    "a chunk beyond all": (post(TE) + b"f" * 30 + b"\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a head of many lines": (b"GET /x/1 HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 20_000, 431),
    "a name without end": (b"GET /x/1 HTTP/1.1\r\nHost: x\r\n" + b"a" * 600_000, 431),
    "blank lines without end": (b"\r\n" * 300_000, 431),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_two_meanings_is_refused(site: Any, case: str) -> None:
    sent, status = REFUSED[case]
    raw = closed(site, sent + LAST)
    assert raw.count(b"x-request-id") <= 1, raw
    allowed = (400, 501) if "Transfer-Encoding:" in sent.decode("latin-1") else (status,)
    assert parsed(raw)[0] in allowed
    assert b"\r\nconnection: close\r\n" in raw
    assert b"last" not in raw


@pytest.mark.parametrize(
    "coding", [b"Transfer-Encoding:\tchunked", b"transfer-encoding: CHUNKED", b"Transfer-Encoding:chunked"]
)
def test_ways_to_write_chunked(site: Any, coding: bytes) -> None:
    raw = closed(site, post(coding + b"\r\n") + b"2;a=b\r\nab\r\n0\r\n\r\n" + LAST)
    assert b"[2]" in raw
    assert b'["last"]' in raw


def test_trailers_are_no_headers(site: Any) -> None:
    raw = closed(site, post(b"A: b\r\n", TE, path=b"/headers") + b"0\r\nX-Late: 1\r\nA: c\r\n\r\n" + LAST)
    assert b'["none","b"]' in raw
    assert b'["last"]' in raw


def test_pipelined_requests_are_answered_in_order(site: Any) -> None:
    many = b"".join(b"GET /x/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(300))
    raw = closed(site, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + many + LAST)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in raw.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b'["slow"]', *(b'["%d"]' % number for number in range(300)), b'["last"]']


def test_a_request_that_stops_half_way_after_a_whole_one(site: Any) -> None:
    raw = closed(site, ONE + b"GET /x")
    assert b'["1"]HTTP/1.1 408 ' in raw


def test_waiting_requests_are_bounded(site: Any) -> None:
    count = 40_000
    with socket.create_connection(site.address, timeout=20) as sock:
        sender = threading.Thread(target=send_until_closed, args=(sock, ONE * count))
        sender.start()
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 50:
            answers += sock.recv(1 << 16)
        waiting = sum(type(item) is RequestResponseCycle for item in gc.get_objects())
        sock.shutdown(socket.SHUT_RDWR)
        sender.join()
    assert (
        waiting < count * 3 // 4
    )  # the server has read two buffers of 256 KiB, not everything that was sent
    idle(site)


def send_until_closed(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(data)


def test_a_fault_after_good_requests(site: Any) -> None:
    raw = closed(site, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + ONE + b"nonsense\r\n\r\n" + LAST)
    assert b'["slow"]' in raw
    assert b"last" not in raw


def test_a_client_that_leaves_with_requests_under_way(site: Any) -> None:
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n" + ONE)
    idle(site)


def idle(site: Any, seconds: float = 20) -> None:
    """Wait until the server has nothing to do."""
    deadline = time.monotonic() + seconds
    while "saros_http_requests_active 0" not in site.get(f"{site.admin}/metrics").text:
        assert time.monotonic() < deadline, "a request is still under way"


@pytest.mark.parametrize("framing", [b"Content-Length: 3000000\r\n", TE])
def test_a_body_that_nobody_reads_does_not_hold_its_connection(site: Any, framing: bytes) -> None:
    drop = b"x" if framing is not TE else b"1\r\nx\r\n"
    began = time.monotonic()
    with socket.create_connection(site.address, timeout=20) as sock:
        sock.sendall(post(framing, path=b"/unread"))
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    sock.sendall(drop)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            raw = read_all(sock)
        finally:
            stop.set()
            thread.join()
    assert b"[true]" in raw
    assert time.monotonic() - began < 15  # far less than 3,000,000 bytes at one per 50 ms


def test_an_unread_body_is_skipped(site: Any) -> None:
    raw = closed(site, post(b"Content-Length: 100000\r\n", path=b"/unread"), b"x" * 100_000, LAST)
    assert b"[true]" in raw
    assert b'["last"]' in raw


def test_drops_of_blank_lines_do_not_hold_a_connection(site: Any) -> None:
    with socket.create_connection(site.address, timeout=20) as sock:
        sock.sendall(ONE)
        assert b"200 OK" in sock.recv(10_000)
        sock.settimeout(0.05)
        deadline = time.monotonic() + 15
        while part_of(sock) != b"":
            assert time.monotonic() < deadline, "the connection is held"
            sock.sendall(b"\r\n")


def part_of(sock: socket.socket) -> bytes | None:
    """Return the next bytes; empty at the end of the stream, None if nothing arrives."""
    try:
        return sock.recv(10_000)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def test_many_tiny_chunks_do_not_stall_the_others(site: Any) -> None:
    count = 200_000
    answer, stall = stall_of(site, post(TE) + b"1\r\nx\r\n" * count + b"0\r\n\r\n" + LAST)
    assert b"[%d]" % count in answer
    assert stall < 0.25


def test_a_form_of_many_escapes_does_not_stall_the_others(site: Any) -> None:
    count = 700_000
    answer, stall = stall_of(site, form(b"a=" + b"%41" * count))
    assert answer.endswith(b"[%d]" % count)
    assert stall < 0.25


def form(body: bytes) -> bytes:
    lines = (b"Content-Length: %d\r\n" % len(body), b"Content-Type: application/x-www-form-urlencoded\r\n")
    return post(*lines, b"Connection: close\r\n", path=b"/form") + body


def test_a_form_with_a_long_name(site: Any) -> None:
    assert closed(site, form(b"n" * 70_000)).endswith(b'["The form is malformed."]')


def test_a_body_whose_json_is_much_longer(site: Any) -> None:
    for char in (b"\x01", b'"', b"\x00"):
        body = char * 3_000_000
        raw = closed(site, post(b"Content-Length: %d\r\n" % len(body), b"Connection: close\r\n") + body)
        assert raw.endswith(b"[3000000]")


def test_a_length_of_many_zeros(site: Any) -> None:
    raw = closed(site, post(b"Content-Length: " + b"0" * 5000 + b"3\r\n", b"Connection: close\r\n") + b"abc")
    assert raw.endswith(b"[3]")


def stall_of(site: Any, request: bytes) -> tuple[bytes, float]:
    """Send a request; return the answer, and the longest stall of the server's event loop meanwhile.

    That is in seconds of CPU time of the loop's thread, so that other load on the machine does not count.
    """
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(closed(site, request)))

    async def longest_stall() -> float:
        longest = 0.0
        thread.start()
        while thread.is_alive():
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)
        return longest

    stall: float = site.on_loop(longest_stall())
    return answers[0], stall


def test_an_absolute_target_of_our_own(site: Any) -> None:
    host = b"%s:%d" % (site.address[0].encode(), site.address[1])

    def ask(target: bytes, named: bytes = host) -> bytes:
        return closed(
            site, b"GET " + target + b" HTTP/1.1\r\nHost: " + named + b"\r\nConnection: close\r\n\r\n"
        )

    for target in (b"http://" + host, b"HTTP://" + host):
        assert b'["1"]' in ask(target + b"/x/1")
        assert b'["query"]' in ask(target + b"?id=query")
        assert b'["none"]' in ask(target)
    assert b'["1"]' in ask(b"http://shop.example/x/1", b"SHOP.example:80")
    assert b'["1"]' in ask(b"http://shop.example:80/x/1", b"shop.example")
    for other in (
        b"http://other.example",
        b"ftp://" + host,
        b"http://a:b:c",
        b"http://x@" + host,
        b"http://",
    ):
        assert parsed(ask(other + b"/x/1"))[0] == 404


def test_a_body_that_waits_for_leave_and_gets_none(site: Any) -> None:
    wait = b"Expect: 100-continue\r\n"
    raw = closed(site, post(b"Content-Length: 100000\r\n", wait, path=b"/unread"), LAST)
    assert b"100 Continue" not in raw
    assert b"[true]" in raw
    assert b"last" not in raw  # these bytes might be the body


def test_requests_for_another_protocol(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    for lines in (
        ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: a", "Sec-WebSocket-Version: 13"),
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: a"),
    ):
        raw = closed(site, head("GET", "/x/1", *lines) + b"\x81\x80what follows is of that protocol")
        assert raw.startswith(b"HTTP/1.1 200")
        assert raw.endswith(b'["1"]')
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_trace(site: Any) -> None:
    assert site.request("TRACE", "/trace").json() == [True]
    answer = site.request("TRACE", "/x/1")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
