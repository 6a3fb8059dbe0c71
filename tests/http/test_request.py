"""What a function can read from its request."""

from __future__ import annotations

import json
from typing import Any

import pytest

ECHO = """
local req = http.request()
return http.response():json({
  method = req:method(), path = req:path(), id = req:param("id"), params = req:params(),
  query = req:query("q"), every = req:query_all("q"), nothing = req:query_all("none"),
  none = req:query("none") == nil, all = req:query_params(),
  agent = req:header("User-AGENT"), content_type = req:content_type(), length = req:content_length(),
  host = req:host(), client = req:remote_addr(), has_body = req:has_body(), body = req:body(),
  is_json = req:is_content_type("application/json"), is_any_text = req:is_content_type("text/*"),
  request_id = req:request_id(), ctx = require("ctx").get("request_id"), same = req == http.request(),
  scheme = req:scheme(),
})
"""


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "POST /echo/{id}": ECHO,
            "GET /echo/{id}": ECHO,
            "POST /json": """
              local data, err = http.request():body_json()
              if err then return http.response():status(400):json({kind = err:kind(), text = err:message()}) end
              return http.response():json({got = data})""",
            "POST /form": "return http.response():json(http.request():form())",
            "POST /upload": """
              local form, err = http.request():parse_multipart()
              if err then return http.response():status(400):json({error = err:message()}) end
              local file = form.files.file[1]
              return http.response():json({
                title = form.values.title, tags = form.values.tag, name = file:name(), type = file:content_type(),
                size = file:size(), sum = #file:data(), last = string.byte(file:data(), -1),
                header = file:header("content-TYPE"), none = file:header("x") == nil,
              })""",
            "POST /parts": """
              local form = http.request():parse_multipart(1000000)
              local stream, sizes = form.files.file[1]:stream(), {}
              for part in function() return stream:read(100000) end do sizes[#sizes + 1] = #part end
              local closed = stream:close()
              local _, err = stream:read()
              return {sizes = sizes, closed = closed, text = err:message()}""",
            "POST /limited": """
              local _, err = http.request():parse_multipart(100)
              return {kind = err:kind(), text = err:message()}""",
            "POST /closed": """
              local stream = http.request():stream()
              local part = stream:read(2)
              stream:close()
              local _, err = stream:read()
              return {part, stream:close(), err:kind()}""",
            "POST /headers": """
              local req = http.request()
              return {
                all = req:header_all("X-A"), joined = req:header("x-a"), none = req:header_all("x-none"),
                table = req:headers()["x-a"], cookie = req:header("cookie"),
              }""",
            "GET /text/{id}": """
              local req = http.request()
              return {req:param("id"), req:query("q"), req:header("x-a"), req:path()}""",
            "GET /accepts": """
              local req = http.request()
              return http.response():json({
                json = req:accepts("application/json"), html = req:accepts("text/html"),
                xml = req:accepts("text/xml"),
              })""",
            "POST /size": "return http.response():json({#http.request():body()})",
            "GET /files/{path...}": "return http.response():json({http.request():param('path')})",
            "GET /outside": """
              local funcs = require("funcs")
              local value, err = funcs.call("app:inner")
              return http.response():json({value = value})""",
        },
        entries=(
            {
                "name": "inner",
                "kind": "function.lua",
                "source": "file://inner.lua",
                "modules": ["http"],
                "method": "main",
            },
        ),
        files={
            "inner.lua": """
            return { main = function()
              local req, err = http.request()
              return { req == nil, err:kind() }
            end }"""
        },
    )


def test_head_and_body(site: Any) -> None:
    answer = site.post(
        "/echo/a%2Fb%20c?q=1&q=2&empty=&x=%C3%A9",
        content='{"n":1}',
        headers={"Content-Type": "application/json; charset=utf-8", "X-Request-ID": "abc-1"},
    )
    told = answer.json()
    assert answer.status_code == 200
    assert told["method"] == "POST"
    assert told["path"] == "/echo/a/b c"
    assert told["id"] == "a/b c"
    assert told["params"] == {"id": "a/b c"}
    assert told["query"] == "1"
    assert told["none"] is True
    assert told["all"] == {"q": "1,2", "empty": "", "x": "é"}
    assert (told["every"], told["nothing"]) == (["1", "2"], [])
    assert told["agent"].startswith("python-httpx")
    assert told["content_type"] == "application/json; charset=utf-8"
    assert told["length"] == 7
    assert told["host"] == f"127.0.0.1:{site.address[1]}"
    assert told["client"].startswith("127.0.0.1:")
    assert told["body"] == '{"n":1}'
    assert told["has_body"] is True
    assert told["is_json"] is True
    assert told["is_any_text"] is False
    assert told["same"] is True
    assert told["scheme"] == "http"
    assert told["request_id"] == told["ctx"] == answer.headers["x-request-id"] == "abc-1"


def test_without_body(site: Any) -> None:
    told = site.get("/echo/1").json()
    assert (told["body"], told["has_body"], told["length"]) == ("", False, 0)
    assert "content_type" not in told
    assert len(told["request_id"]) == 32


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, [], "text", 0, False, {"$bin": "AAAA"}])
def test_json(site: Any, value: Any) -> None:
    assert site.post("/json", json=value).json().get("got") == value


def test_json_of_another_content_type(site: Any) -> None:
    assert site.post("/json", content=b'{"a":1}').json() == {"got": {"a": 1}}
    answer = site.post("/json", content=b"{")
    assert (answer.status_code, answer.json()["kind"]) == (400, "Invalid")
    assert site.post("/json").json()["text"] == "the request has no body"


@pytest.mark.parametrize("body", [b"{", b'{"a":}', b"\xff", b"[" * 5000, b"nul", b"1 2"])
def test_malformed_json_is_told_to_the_function(site: Any, body: bytes) -> None:
    answer = site.post("/json", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["kind"]) == (400, "Invalid")
    assert answer.json()["text"].startswith("the body is not JSON")


def test_urlencoded_form(site: Any) -> None:
    assert site.post("/form", data={"a": "1", "b": ["x", "é"]}).json() == {"a": "1", "b": ["x", "é"]}


def test_upload(site: Any) -> None:
    data = bytes(range(256)) * 1000
    answer = site.post(
        "/upload", data={"title": "Photo", "tag": ["a", "b"]}, files={"file": ("a.png", data, "image/png")}
    )
    assert answer.json() == {
        "title": "Photo",
        "tags": ["a", "b"],
        "header": "image/png",
        "none": True,
        "name": "a.png",
        "type": "image/png",
        "size": 256_000,
        "sum": 256_000,
        "last": 255,
    }


def test_parts_of_an_upload(site: Any) -> None:
    told = site.post("/parts", files={"file": ("a", b"x" * 250_000)}).json()
    assert told == {"sizes": [100_000, 100_000, 50_000], "closed": True, "text": "the stream is closed"}
    told = site.post("/limited", files={"file": ("a", b"x" * 200)}).json()
    assert told == {"kind": "Invalid", "text": "the form is larger than 100 bytes"}


@pytest.mark.parametrize("size", [4, 200_000])
def test_a_closed_stream(site: Any, size: int) -> None:
    part, closed, kind = site.post("/closed", content=b"x" * size).json()
    assert (part, closed, kind) == ("xx", True, "Invalid")
    assert site.get("/accepts").status_code == 200


def test_repeated_headers(site: Any) -> None:
    headers = [("X-A", "1"), ("x-a", "2, 3"), ("Cookie", "a=1"), ("Cookie", "b=2")]
    assert site.post("/headers", headers=headers).json() == {
        "all": ["1", "2, 3"],
        "joined": "1, 2, 3",
        "none": [],
        "table": "1, 2, 3",
        "cookie": "a=1; b=2",
    }


@pytest.mark.parametrize("written", ["é".encode(), "é".encode("latin-1")])
def test_text_is_utf_8_and_else_latin_1(site: Any, written: bytes) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in written)
    answer = site.get(f"/text/{quoted}?q={quoted}", headers=[(b"X-A", written)])
    assert answer.json() == ["é", "é", "é", "/text/é"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert site.post("/form", content=b"a=" + written, headers=form).json() == {"a": "é"}
    assert site.post("/form", content=f"{quoted}={quoted}", headers=form).json() == {"é": "é"}
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + written + b"\r\n--x--\r\n"
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    assert site.post("/form", content=part, headers=multipart).json() == {"a": "é"}


def test_malformed_forms(site: Any) -> None:
    for content_type in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain"):
        answer = site.post("/upload", content=b"--x\r\nno", headers={"Content-Type": content_type})
        assert answer.status_code == 400, content_type


def test_accepts(site: Any) -> None:
    def accepted(header: str | None) -> list[bool]:
        site_headers = {"Accept": header} if header is not None else {}
        return list(site.get("/accepts", headers=site_headers).json().values())  # html, json, xml

    assert accepted("*/*") == accepted("") == [True, True, True]
    assert accepted("*/*;q=0, text/html") == [True, False, False]
    assert accepted("application/json") == [False, True, False]
    assert accepted("text/*;q=0.5, text/xml;q=0") == [True, False, False]
    assert accepted("application/*, text/html") == [True, True, False]


def test_large_and_chunked_bodies(site: Any) -> None:
    assert site.post("/size", content=b"\xff" * 1_000_000).json() == [1_000_000]
    assert site.post("/size", content=iter([b"ab", b"c" * 70_000])).json() == [70_002]
    text = json.dumps({"a": "é" * 100_000})
    assert site.post("/size", content=text, headers={"Content-Type": "application/json"}).json() == [
        len(text)
    ]


def test_rest_of_a_path(site: Any) -> None:
    assert site.get("/files/a/b%20c/d").json() == ["a/b c/d"]
    assert site.get("/files/").json() == [""]


def test_outside_of_a_request(site: Any) -> None:
    assert site.get("/outside").json() == {"value": [True, "Invalid"]}
