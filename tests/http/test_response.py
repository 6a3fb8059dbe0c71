"""What a function sends as its response, and how its mistakes are reported."""

from __future__ import annotations

import logging
from typing import Any

import pytest


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "GET /chain": """
              return http.response():status(http.STATUS.CREATED):set_header("X-One", 1)
                :set_content_type(http.CONTENT.TEXT):write("a"):write(2):write("c")""",
            "GET /not-returned": "http.response():json({ok = true})",
            "GET /bytes": 'return http.response():set_content_type("image/png"):write("\\255\\0\\1")',
            "GET /empty-table": "return http.response():json({})",
            "GET /no-content": "return http.response():status(204)",
            "GET /table": "return {plain = true}",
            "GET /nothing": "return nil",
            "GET /numbers": "return {10 / 2, 2.5, {a = 3.0}, 2.0 ^ 53}",
            "GET /numbers-json": "return http.response():json({10 / 2, 2.5, {a = 3.0}})",
            "GET /cookies": """
              local res = http.response():set_header("Set-Cookie", {"a=1", "b=2"}):add_header("set-cookie", "c=3")
              return res:add_header("X-A", "1"):set_header("X-B", {}):json({})""",
            "GET /raises": 'error("secret: the password is 123")',
            "GET /returns-error": 'return nil, errors.new{message = "secret", kind = errors.NOT_FOUND}',
            "GET /fails-late": 'http.response():status(201):json({}) error("secret")',
            "GET /forever": "while true do end",
            "GET /memory": 'local t = {} while true do t[#t + 1] = string.rep("x", 100000) end',
            "GET /header/{value}": """
              return http.response():set_header("X-Value", http.request():param("value")):json({})""",
            "GET /caught/{case}": """
              local res = http.response()
              local cases = {
                status = function() res:status(99) end,
                name = function() res:set_header("a b", "x") end,
                blank = function() res:set_header("X-A", "x ") end,
                tab = function() res:add_header("X-A", "\\tx") end,
                list = function() res:set_header("X-A", {"x", "y\\n"}) end,
                own = function() res:set_header("Content-Length", "5") end,
                body = function() res:write({}) end,
                transfer = function() res:set_transfer("gzip") end,
                json = function() res:json(print) end,
                self = function() res.status(5) end,
              }
              local ok, err = pcall(cases[http.request():param("case")])
              return res:json({ok = ok, text = tostring(err)})""",
            "GET /status/{code}": """
              return http.response():status(tonumber(http.request():param("code"))):write("body")""",
            "GET /constants": """
              return http.response():json({
                http.METHOD.PATCH, http.STATUS.NOT_FOUND, http.CONTENT.JSON, http.TRANSFER.SSE, type(http.response()),
                http.METHOD.TRACE, http.STATUS.UNPROCESSABLE, http.STATUS.VERSION_NOT_SUPPORTED,
                http.ERROR.PARSE_FAILED, http.ERROR.INVALID_STATE, http.ERROR.WRITE_FAILED, http.ERROR.STREAM_ERROR,
              })""",
            "GET /big": 'return http.response():write(string.rep("0123456789", 300000))',
            "GET /actors": """
              local pid = process.spawn_monitored("app:echo", "app:worker", process.pid())
              local msg = process.inbox():receive()
              process.send(pid, "stop")
              local event = process.events():receive()
              return http.response():json({msg:topic(), event.kind, event.result.value})""",
        },
        entries=({"name": "echo", "kind": "process.lua", "source": "file://echo.lua"},),
        files={
            "echo.lua": """return function(to)
              process.send(to, "hello")
              process.inbox():receive()
              return "bye"
            end"""
        },
    )


def test_chain(site: Any) -> None:
    answer = site.get("/chain")
    assert (answer.status_code, answer.text) == (201, "a2c")
    assert answer.headers["x-one"] == "1"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "3"


def test_what_is_not_returned_is_sent_too(site: Any) -> None:
    assert site.get("/not-returned").json() == {"ok": True}


def test_bodies(site: Any) -> None:
    assert site.get("/bytes").content == b"\xff\x00\x01"
    assert site.get("/empty-table").text == "[]"
    assert site.get("/table").json() == {"plain": True}
    assert site.get("/big").content == b"0123456789" * 300_000
    answer = site.get("/no-content")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


def test_nothing_is_an_empty_answer(site: Any) -> None:
    answer = site.get("/nothing")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


def test_whole_numbers_have_no_fraction(site: Any) -> None:
    assert site.get("/numbers").text.startswith('[5,2.5,{"a":3},')
    assert site.get("/numbers-json").text == '[5,2.5,{"a":3}]'


def test_a_header_several_times(site: Any) -> None:
    answer = site.get("/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2", "c=3"]
    assert answer.headers["x-a"] == "1"
    assert "x-b" not in answer.headers


def test_head_has_no_body(site: Any) -> None:
    answer = site.head("/chain")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (201, b"", "3")


@pytest.mark.parametrize(
    "path", ["/raises", "/returns-error", "/fails-late", "/forever", "/memory", "/status/99"]
)
def test_failures_tell_no_secrets(site: Any, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "saros.http"):
        answer = site.get(path, headers={"X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["request_id"] == "find-me"
    assert body["title"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert ".lua" not in answer.text
    assert "find-me" in caplog.text  # but the log has all the details
    assert site.get("/table").status_code == 200  # and the worker keeps serving


def test_headers_cannot_be_injected(site: Any) -> None:
    assert site.get("/header/ok%20%C3%A9").headers["x-value"] == "ok é"
    for value in ("a%0d%0aX-Evil:%201", "a%0ab", "a%00b", "a%7fb"):
        answer = site.get(f"/header/{value}")
        assert answer.status_code == 500
        assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("status", "a status is an integer from 200 to 599, not 99"),
        ("name", "a header's name is a word such as Cache-Control, not a b"),
        ("blank", "the value of header X-A must not begin or end with a blank"),
        ("tab", "the value of header X-A must not begin or end with a blank"),
        ("list", "the value of header X-A must be a string without line breaks or control characters"),
        ("own", "the header Content-Length is the server's own; it follows from what is written"),
        ("body", "response:write expects a string, not a table; json writes tables"),
        ("transfer", "a transfer is http.TRANSFER.CHUNKED or http.TRANSFER.SSE, not gzip"),
        ("json", "value is a function, which JSON cannot hold"),
        ("self", "expected a response; call it as response:status()"),
    ],
)
def test_mistakes_raise(site: Any, case: str, text: str) -> None:
    told = site.get(f"/caught/{case}").json()
    assert told["ok"] is False
    assert told["text"].endswith(text)


@pytest.mark.parametrize("code", [200, 304, 404, 418, 503, 599])
def test_statuses(site: Any, code: int) -> None:
    answer = site.get(f"/status/{code}")
    assert answer.status_code == code
    assert answer.text == ("" if code == 304 else "body")


def test_constants(site: Any) -> None:
    names = ["PARSE_FAILED", "INVALID_STATE", "WRITE_FAILED", "STREAM_ERROR"]
    assert site.get("/constants").json() == [
        *("PATCH", 404, "application/json", "sse", "userdata", "TRACE", 422, 505),
        *names,
    ]


def test_a_handler_is_an_actor(site: Any) -> None:
    assert site.get("/actors").json() == ["hello", "EXIT", "bye"]
