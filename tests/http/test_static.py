"""Static files: the files of the directory are served, and nothing outside of it."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    site = serve(
        {"GET /files/api": "return {1}"},
        routers={"private": {"middleware": ["token_auth"], "options": {"token_auth": {"tokens": ["t"]}}}},
        entries=(
            {
                "name": "files",
                "kind": "http.static",
                "path": "/files",
                "directory": "file://public",
                "cache_control": "max-age=60",
                "meta": {"server": "web"},
            },
            {
                "name": "page",
                "kind": "http.static",
                "path": "/page",
                "directory": "file://public",
                "fallback": "index.html",
                "meta": {"server": "web"},
            },
            {
                "name": "spa",
                "kind": "http.static",
                "path": "/spa",
                "directory": "file://public/sub",
                "static_options": {"spa": True, "index": "index.html", "cache": "public, max-age=3600"},
                "middleware": ["cors"],
                "meta": {"server": "web"},
            },
            {
                "name": "secret",
                "kind": "http.static",
                "directory": "file://public",
                "meta": {"router": "private"},
            },
        ),
        files={
            "public/index.html": "<h1>hi</h1>",
            "public/sub/index.html": "sub",
            "public/a b.txt": "text",
            "public/.hidden": "hidden",
            "public/.git/config": "hidden",
            "secret.txt": "secret",
        },
    )
    root = Path(site.app.registry.root)
    (root / "public" / "link.txt").symlink_to(root / "secret.txt")
    return site


def test_files(site: Any) -> None:
    answer = site.get("/files/index.html")
    assert (answer.status_code, answer.text) == (200, "<h1>hi</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert site.get("/files/").text == "<h1>hi</h1>"
    assert site.get("/files").text == "<h1>hi</h1>"
    assert site.get("/files/sub/").text == "sub"
    assert site.get("/files/a%20b.txt").text == "text"
    assert site.head("/files/index.html").headers["content-length"] == "11"
    tag = answer.headers["etag"]
    assert site.get("/files/index.html", headers={"If-None-Match": tag}).status_code == 304
    assert site.get("/files/index.html", headers={"Range": "bytes=0-3"}).text == "<h1>"


def test_ranges(site: Any) -> None:
    def answer(asked: str) -> Any:
        return site.get("/files/index.html", headers={"Range": asked})

    assert (answer("bytes=0-3").status_code, answer("BYTES=0-3").status_code) == (206, 206)
    assert (answer("items=0-1").status_code, answer("items=0-1").text) == (200, "<h1>hi</h1>")
    refused = answer("bytes=100-200")
    assert (refused.status_code, refused.headers["content-range"]) == (416, "bytes */11")
    for asked in ("bytes=100-200", "bytes=5-2", "bytes="):
        refused = answer(asked)
        assert refused.status_code in (400, 416)
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["status"] == refused.status_code


def test_static_options_and_middleware(site: Any) -> None:
    answer = site.get("/spa/some/where")
    assert (answer.text, answer.headers["cache-control"]) == ("sub", "public, max-age=3600")
    allowed = site.get("/spa/", headers={"Origin": "https://a.example"}).headers
    assert allowed["access-control-allow-origin"] == "*"


def test_a_client_that_takes_nothing_is_cut(serve: Any) -> None:
    file = {"name": "files", "kind": "http.static", "directory": "file://public", "meta": {"server": "web"}}
    site = serve(
        {"GET /x/y": "return {true}"},
        service={"timeouts": {"write": "300ms"}},
        entries=(file,),
        files={"public/big": "x" * 30_000_000},
    )
    ask = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(site.address)
        sock.sendall(ask * 3)
        deadline = time.monotonic() + 20
        while "saros_http_requests_active 0" not in site.get(f"{site.admin}/metrics").text:
            assert time.monotonic() < deadline, "the client holds a request"


def test_endpoints_come_first(site: Any) -> None:
    assert site.get("/files/api").json() == [1]
    assert site.post("/files/index.html").status_code == 405


def test_fallback(site: Any) -> None:
    assert site.get("/page/any/route").text == "<h1>hi</h1>"
    assert site.get("/page/.hidden").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/files/missing",
        "/files/sub",
        "/files/.hidden",
        "/files/.git/config",
        "/files/link.txt",
        "/files/../secret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/..%2fsecret.txt",
        "/files/sub/..%2f..%2fsecret.txt",
        "/files/%2e%2e%2fsecret.txt",
        "/files/..%5csecret.txt",
        "/files//etc/passwd",
        "/files/%2fetc/passwd",
        "/files/%00",
        "/files/index.html%00.png",
        "/files/" + "a" * 5000,
        "/files/C:%5cwindows",
        "/files/%ff",
    ],
)
def test_paths_cannot_leave_the_directory(site: Any, path: str) -> None:
    raw = site.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 404 ")
    assert b"application/problem+json" in raw
    assert b"secret" not in raw.partition(b"\r\n\r\n")[2].replace(b"secret.txt", b"")
    assert b"/tmp" not in raw


def test_behind_a_router(site: Any) -> None:
    assert site.get("/private/index.html").status_code == 401
    assert site.get("/private/index.html", headers={"Authorization": "Bearer t"}).status_code == 200
