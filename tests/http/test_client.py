"""The http_client module in functions; the requests go to the app's own server."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from .test_service import certificate

ASK = """
local base = http.request():query("base")
"""


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "GET /big": """
              local res = http.response():set_header("Set-Cookie", {"a=1", "b=2"})
              for i = 1, 20 do res:write(string.rep("x", 10000)) end
              return res""",
            "GET /echo": "return {q = http.request():query('q'), cookie = http.request():header('cookie')}",
            "GET /slow": 'time.sleep("1h")',
            "GET /drip": """
              local res = http.response():write("first"):flush()
              time.sleep("1h")""",
            "POST /upload": """
              local form = http.request():parse_multipart()
              local file = form.files.file[1]
              return {file:name(), file:size(), file:content_type(), form.values.title}""",
            "GET /stream": ASK
            + """
              local response = assert(http_client.get(base .. "/big", {stream = true}))
              local sizes, total = {}, 0
              for part in function() return response.stream:read(7000) end do
                total = total + #part
                if #part > 7000 then error("too much") end
              end
              local at_end = response.stream:read() == nil
              local closed = response.stream:close() and response.stream:close()
              local _, err = response.stream:read()
              return {
                total = total, size = response.body_size, none = response.body == nil, at_end = at_end,
                closed = closed, kind = err:kind(), cookies = response.cookies, status = response.status_code,
              }""",
            "GET /left": ASK
            + """
              local response = assert(http_client.get(base .. "/drip", {stream = true}))
              return {response.stream:read()}""",
            "GET /limited": ASK
            + """
              local response = assert(http_client.get(base .. "/big", {stream = true, max_response_body = 50000}))
              local part, err
              repeat part, err = response.stream:read() until not part
              return {err:kind(), err:message()}""",
            "GET /refused": ASK
            + """
              local response, err = http_client.get(base .. "/echo", {stream = true, headers = {A = "b\\n"}})
              local gone, gone_err = http_client.get("http://127.0.0.1:1/", {stream = true})
              return {response == nil, err:kind(), gone == nil, gone_err:kind(), gone_err:retryable()}""",
            "GET /timeouts": ASK
            + """
              local _, err = http_client.get(base .. "/slow", {timeout = 0.2})
              local response = assert(http_client.get(base .. "/drip", {stream = true, timeout = 0.5}))
              local first = response.stream:read()
              local _, late = response.stream:read()
              return {err:kind(), err:retryable(), first, late:kind(), late:retryable()}""",
            "GET /batch": ASK
            + """
              local responses, errs = http_client.request_batch({
                {"GET", base .. "/echo?q=1"},
                {"GET", "http://127.0.0.1:1/"},
                {"GET", base .. "/echo", {query = {q = "3"}, cookies = {c = "4"}}},
              })
              local fine, none = http_client.request_batch({{"GET", base .. "/echo?q=5"}})
              return {
                json.decode(responses[1].body).q, responses[2] == nil, json.decode(responses[3].body),
                errs[1] == nil, errs[2]:kind(), errs[2]:retryable(), errs[3] == nil, none == nil, #fine,
              }""",
            "GET /upload": ASK
            + """
              local response = assert(http_client.post(base .. "/upload", {
                form = {title = "é"},
                files = {{name = "file", filename = "a.txt", content = "text", content_type = "text/x"}},
              }))
              return json.decode(response.body)""",
        }
    )


def ask(site: Any, path: str) -> Any:
    answer = site.get(path, params={"base": site.url})
    assert answer.status_code == 200, answer.text
    return answer.json()


def idle(site: Any) -> None:
    deadline = time.monotonic() + 20
    while "saros_http_requests_active 0" not in site.get(f"{site.admin}/metrics").text:
        assert time.monotonic() < deadline, "a response is still held"


def test_a_streamed_response(site: Any) -> None:
    assert ask(site, "/stream") == {
        "total": 200_000,
        "size": -1,
        "none": True,
        "at_end": True,
        "closed": True,
        "kind": "Invalid",
        "cookies": {"a": "1", "b": "2"},
        "status": 200,
    }


def test_a_stream_ends_with_its_program(site: Any) -> None:
    assert ask(site, "/left") == ["first"]
    idle(site)


def test_a_stream_has_limits(site: Any) -> None:
    kind, message = ask(site, "/limited")
    assert kind == "Internal"
    assert message.endswith("the response is larger than 50000 bytes")
    idle(site)


def test_a_stream_that_does_not_begin(site: Any) -> None:
    assert ask(site, "/refused") == [True, "Invalid", True, "Unavailable", True]


def test_numbers_are_seconds_and_timeouts_retryable(site: Any) -> None:
    assert ask(site, "/timeouts") == ["Timeout", True, "first", "Timeout", True]
    idle(site)


def test_a_batch(site: Any) -> None:
    third = {"q": "3", "cookie": "c=4"}
    assert ask(site, "/batch") == ["1", True, third, True, "Unavailable", True, True, True, 1]


def test_an_upload(site: Any) -> None:
    assert ask(site, "/upload") == ["a.txt", 4, "text/x", "é"]


def test_tls(serve: Any, tmp_path: Path) -> None:
    pem = certificate(tmp_path).read_text()
    site = serve(
        {
            "GET /": "return {true}",
            "POST /ask": """
              local given = http.request():body_json()
              local response, err = http_client.get(given.url, {tls = given.tls})
              return {response and response.status_code or err:kind()}""",
        },
        service={"tls": {"mode": "manual", "cert": pem, "key": pem, "client_ca": pem}},
        verify=_with(tmp_path),
    )

    def status(**tls: Any) -> Any:
        return site.post("/ask", json={"url": site.url, "tls": tls}).json()[0]

    assert status(ca=pem, cert=pem, key=pem) == 200
    assert status(insecure_skip_verify=True, cert=pem) == 200
    assert status(ca=pem) == "Unavailable"  # the server requires a client certificate
    assert status(cert=pem) == "Unavailable"  # the client does not trust the server's certificate
    assert status(ca=pem, cert=pem, server_name="other.example") == "Unavailable"
    assert status(ca=pem, cert="nonsense") == "Invalid"


def _with(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "site.pem"))
    context.load_cert_chain(folder / "site.pem")
    return context
