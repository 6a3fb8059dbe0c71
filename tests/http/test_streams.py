"""Bodies that are received and sent in parts, and clients that disconnect."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

ENDLESS = """
local time = require("time")
local res = http.response()
while true do
  local ok, err = res:write_event({data = {n = 1}})
  if not ok then
    process.send("witness", "gone", err:kind())
    return
  end
  local slept, why = time.sleep("20ms")
  if not slept then
    process.send("witness", "gone", why:kind())
    return
  end
end
"""


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "POST /upper": """
              local req, res = http.request(), http.response()
              local stream = req:stream()
              while true do
                local part, err = stream:read(1000)
                if err then error(err) end
                if not part then break end
                res:write(part:upper()):flush()
              end
              return res""",
            "POST /count": """
              local stream, n, parts = http.request():stream(), 0, 0
              for part in function() return stream:read() end do n, parts = n + #part, parts + 1 end
              return http.response():json({n, parts > 1})""",
            "GET /parts": """
              local res = http.response():set_transfer(http.TRANSFER.CHUNKED):set_header("X-A", "b")
              for i = 1, 3 do res:write(i .. "\\n"):flush() end
              return res:write("end")""",
            "GET /late-header": """
              local res = http.response():write("a"):flush()
              local ok, err = pcall(function() res:set_header("X-A", "b") end)
              return res:write(tostring(err))""",
            "GET /no-body": 'return http.response():status(204):write("a"):flush():write("b")',
            "GET /together": """
              local res, done = http.response(), channel.new(0)
              for i = 1, 5 do
                coroutine.spawn(function() res:write(string.rep(i, 70000)) done:send(i) end)
              end
              for i = 1, 5 do done:receive() end
              return res""",
            "GET /large": """
              local res = http.response()
              for i = 1, 100 do res:write(string.rep("x", 100000)) end
              return res""",
            "GET /events": """
              local res = http.response()
              res:write_event({event = "a", id = 7, retry = 500, data = "two\\nlines"})
              res:write_event({name = "b", data = {x = {1}}})
              res:write_event("plain")""",
            "GET /bad-event": 'http.response():write_event({event = "a\\nb", data = 1})',
            "GET /breaks": 'http.response():write("begun"):flush() error("secret")',
            "GET /endless": ENDLESS,
            "GET /waits": """
              local msg, ok = nil, true
              local inbox, events = process.inbox(), process.events()
              local which = channel.select{inbox:case_receive(), events:case_receive()}
              process.send("witness", "gone", which.value.kind)""",
        },
        entries=({"name": "witness", "kind": "function.lua", "source": "file://witness.lua"},),
        files={
            "witness.lua": """return function()
              process.registry.register("witness")
              local msg = process.inbox():receive()
              return msg:payload():data()
            end"""
        },
    )


def test_both_ways(site: Any) -> None:
    def parts() -> Iterator[bytes]:
        yield b"ab" * 5000
        yield b"c"

    with site.stream("POST", "/upper", content=parts()) as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.read() == b"AB" * 5000 + b"C"
    assert site.post("/upper", content=b"").content == b""
    assert site.post("/upper", content=b"small").content == b"SMALL"


def test_a_large_body_comes_in_parts(site: Any) -> None:
    assert site.post("/count", content=b"x" * 5_000_000).json() == [5_000_000, True]


def test_parts(site: Any) -> None:
    answer = site.get("/parts")
    assert (answer.text, answer.headers["x-a"]) == ("1\n2\n3\nend", "b")
    assert site.get("/large").content == b"x" * 10_000_000
    assert len(site.get("/together").content) == 350_000
    answer = site.get("/no-body")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "can no longer be changed" in site.get("/late-header").text


def test_events(site: Any) -> None:
    answer = site.get("/events")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.text == (
        'event: a\nid: 7\nretry: 500\ndata: two\ndata: lines\n\nevent: b\ndata: {"x":[1]}\n\ndata: plain\n\n'
    )
    assert site.get("/bad-event").status_code == 500


def test_a_stream_that_breaks_is_cut(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        raw = site.raw(b"GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"begun" in raw
    assert not raw.endswith(b"0\r\n\r\n")  # so the client can tell that the response is incomplete
    assert b"secret" not in raw
    assert "Exception in ASGI" not in caplog.text


@pytest.mark.parametrize("path", ["/endless", "/waits"])
def test_a_client_that_leaves_ends_the_function(site: Any, path: str) -> None:
    heard: list[Any] = []

    async def witness() -> None:
        heard.append(await site.app.call("app:witness"))

    thread = threading.Thread(target=lambda: site.on_loop(witness()))
    thread.start()
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if path == "/endless":
            assert b"200 OK" in sock.recv(1000)
    thread.join(10)
    assert heard in (["Canceled"], ["CANCEL"])


def test_a_client_that_leaves_in_the_middle_of_its_body(site: Any) -> None:
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(b"POST /upper HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        assert b"200 OK" in sock.recv(1000)
    assert site.post("/upper", content=b"x").content == b"X"
