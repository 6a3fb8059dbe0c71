"""Middleware: what runs between a server and its endpoints."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from saros_http.routing.middleware import MAX_CLIENTS, Buckets

OK = 'return http.response():json({client = http.request():remote_addr():match("^(.*):%d+$")})'
TOKEN = {"Authorization": "Bearer s3cret"}


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "cors GET /x": OK,
            "cors PUT /x": OK,
            "zip GET /text": 'return http.response():set_content_type("text/plain"):write(string.rep("a", 5000))',
            "zip GET /small": 'return http.response():write("a")',
            "zip GET /events": 'http.response():write_event(string.rep("a", 5000))',
            "limited GET /x": OK,
            "proxied GET /x": OK,
            "seen GET /x": OK,
            "slow GET /x": 'require("time").sleep("1h")',
            "slow GET /stream": """
              local res = http.response():write("a"):flush()
              require("time").sleep("150ms")
              return res:write("b")""",
            "private GET /x": OK,
            "bare GET /x": OK,
            "flat GET /x": OK,
            "flat GET /text": 'return http.response():write(string.rep("a", 100))',
            "private GET /y/{id}": OK,
        },
        routers={
            "cors": {
                "middleware": ["cors"],
                "options": {
                    "cors": {"origins": ["https://shop.example"], "credentials": True, "max_age": "1m"}
                },
            },
            "zip": {"middleware": ["compress"]},
            "limited": {"middleware": ["ratelimit"], "options": {"ratelimit": {"rate": 0.01, "burst": 3}}},
            "proxied": {
                "middleware": ["real_ip", "ratelimit"],
                "options": {
                    "real_ip": {"trusted": ["127.0.0.1", "10.0.0.0/8"]},
                    "ratelimit": {"rate": 0.01, "burst": 1},
                },
            },
            "seen": {
                "middleware": ["real_ip"],
                "options": {"real_ip": {"trusted": ["127.0.0.1", "10.0.0.0/8"]}},
            },
            "slow": {"middleware": ["timeout"], "options": {"timeout": {"after": "100ms"}}},
            "bare": {"middleware": ["cors", "ratelimit", "compress", "real_ip", "timeout"]},
            "flat": {
                "middleware": ["cors", "compress", "real_ip", "ratelimit", "token_auth"],
                "options": {
                    "cors.allow.origins": "https://a.example,*.b.example",
                    "cors.allow.methods": "GET,PUT",
                    "cors.expose.headers": "X-A",
                    "cors.max.age": "86400",
                    "compress.level": "best",
                    "compress.min.length": "10",
                    "real_ip.trusted.subnets": "127.0.0.0/8,10.0.0.0/8",
                    "ratelimit.requests": "2",
                    "ratelimit.window": "1h",
                    "ratelimit.key": "header:X-API-Key",
                    "token_auth.tokens": "s3cret",
                    "token_auth.header.name": "X-Token",
                    "token_auth.query.param": "token",
                    "token_auth.cookie.name": "token",
                },
            },
            "private": {
                "middleware": ["cors", "token_auth"],
                "options": {
                    "token_auth": {"tokens": ["s3cret", "${env:SAROS_TEST_TOKEN|other}"], "realm": "orders"},
                    "cors": {"origins": ["*"]},
                },
            },
        },
    )


def test_cors(site: Any) -> None:
    origin = {"Origin": "https://shop.example"}
    answer = site.get("/cors/x", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    asked = {**origin, "Access-Control-Request-Method": "PUT"}
    preflight = site.options("/cors/x", headers=asked)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-max-age"] == "60"
    stranger = site.get("/cors/x", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
    assert "access-control-allow-origin" in site.delete("/cors/x", headers=origin).headers  # a 405


def test_refused_preflights_are_problems(site: Any) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    refused = site.options("/cors/x", headers=asked)
    assert (refused.status_code, refused.json()["status"]) == (400, 400)
    assert refused.headers["content-type"] == "application/problem+json"
    assert "access-control-allow-origin" not in refused.headers


def test_middleware_by_bare_name(site: Any) -> None:
    answer = site.get("/bare/x", headers={"Origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_flat_options(site: Any) -> None:
    def ask(path: str, **headers: str) -> Any:
        return site.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    for origin in ("https://a.example", "https://x.b.example", "http://x.y.b.example:80"):
        answer = ask("/flat/x", Origin=origin)
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-expose-headers"] == "X-A"
    for origin in (
        "https://b.example",
        "https://evilb.example",
        "https://a.example.evil",
        "https://x.b.example.e",
    ):
        assert "access-control-allow-origin" not in ask("/flat/x", Origin=origin).headers
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    assert site.options("/flat/x", headers=asked).headers["access-control-max-age"] == "86400"
    for path, headers in (
        ("/flat/text", {"X_Token": "s3cret", "X_API_Key": "1"}),
        ("/flat/text?token=s3cret", {"X_API_Key": "2"}),
        ("/flat/text", {"Cookie": "token=s3cret", "X_API_Key": "3"}),
    ):
        answer = ask(path, **headers)
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert ask("/flat/text?token=wrong", X_API_Key="4").status_code == 401
    assert ask("/flat/text", X_Token="s3cret", X_API_Key="1").status_code == 200
    assert ask("/flat/text", X_Token="s3cret", X_API_Key="1").status_code == 429
    assert ask("/flat/text", X_Token="s3cret", X_API_Key="5").status_code == 200


@pytest.mark.parametrize(
    ("accepted", "gzip"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip ; q=0", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("notgzip", False),
        ("br", False),
        ("gzip;q=nonsense", False),
        ("", False),
    ],
)
def test_encodings_that_a_client_takes(site: Any, accepted: str, gzip: bool) -> None:
    answer = site.get("/zip/text", headers={"Accept-Encoding": accepted})
    assert ("content-encoding" in answer.headers) == gzip
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.text == "a" * 5000


def test_compress(site: Any) -> None:
    answer = site.get("/zip/text")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == "a" * 5000
    assert "content-encoding" not in site.get("/zip/text", headers={"Accept-Encoding": "identity"}).headers
    assert "content-encoding" not in site.get("/zip/small").headers
    assert "content-encoding" not in site.get("/zip/events").headers


def test_ratelimit(site: Any) -> None:
    statuses = [site.get("/limited/x").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = site.get("/limited/x")
    assert 1 <= int(refused.headers["retry-after"]) <= 101
    assert refused.json()["detail"] == "Too many requests."


def test_buckets_fill_up_again() -> None:
    buckets = Buckets(rate=2.0, burst=2)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) > 0
    for number in range(MAX_CLIENTS + 10):
        buckets.take(str(number), 1.0)
    assert len(buckets._buckets) == MAX_CLIENTS


def test_real_ip(site: Any) -> None:
    def seen(forwarded: str) -> Any:
        return site.get("/proxied/x", headers={"X-Forwarded-For": forwarded})

    assert seen("6.6.6.6, 1.2.3.4, 10.1.1.1").json()["client"] == "1.2.3.4"
    assert seen("1.2.3.4").status_code == 429  # the limit applies to the real client
    assert seen("2001:db8::1").json()["client"] == "2001:db8::1"
    assert seen("nonsense").json()["client"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("1.1.1.1:4711", "1.1.1.1"),
        ("[2001:db8::2]:80", "2001:db8::2"),
        ("[2001:db8::3]", "2001:db8::3"),
        ('"[2001:db8::4]:80"', "2001:db8::4"),
        ("::ffff:2.2.2.2", "2.2.2.2"),
        ("[::ffff:3.3.3.3]:80", "3.3.3.3"),
        ("4.4.4.4, ::ffff:10.1.1.1", "4.4.4.4"),
        ("6.6.6.6, nonsense, 10.1.1.1", "10.1.1.1"),
        ("10.1.1.2", "10.1.1.2"),
    ],
)
def test_addresses_as_proxies_write_them(site: Any, forwarded: str, client: str) -> None:
    answer = site.get("/seen/x", headers={"X-Forwarded-For": forwarded})
    assert answer.json()["client"] == client


def test_timeout(site: Any) -> None:
    answer = site.get("/slow/x")
    assert (answer.status_code, answer.json()["detail"]) == (504, "The answer took too long.")
    assert site.get("/slow/stream").text == "ab"  # a response that has begun may finish


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3cret2", "Bearer \xff"]
)
def test_without_a_valid_token(site: Any, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    for path in ("/private/x", "/private/y/1"):
        answer = site.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="orders"'


def test_with_a_valid_token(site: Any) -> None:
    assert site.get("/private/x", headers=TOKEN).status_code == 200
    assert site.get("/private/x", headers={"Authorization": "bearer other"}).status_code == 200
    assert (
        site.post("/private/x").status_code == 401
    )  # without a token, not even the allowed methods are revealed
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert site.options("/private/x", headers=asked).status_code == 204  # cors is the outer middleware


def test_requests_do_not_wait_for_each_other(site: Any) -> None:
    threads = [threading.Thread(target=site.get, args=("/slow/stream",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
