"""Servers: start and stop, health, metrics and access log, and TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

import saros
import saros.app.loading
from saros.app.plugins import installed
from saros.entries import AppError

SLOW = 'require("time").sleep("300ms") return {"done"}'


@pytest.fixture(scope="module")
def site(serve: Any) -> Any:
    return serve(
        {
            "GET /x/{id}": "return {1}",
            "GET /m/{id}": "return {1}",
            "GET /fails": "error('x')",
            "GET /slow": SLOW,
        }
    )


def test_admin(site: Any) -> None:
    assert site.admin.startswith("http://127.0.0.1:")
    assert site.get(f"{site.admin}/healthz").text == "ok\n"
    assert site.get(f"{site.admin}/readyz").text == "ready\n"
    assert site.get(f"{site.admin}/nothing").status_code == 404
    assert site.post(f"{site.admin}/healthz").status_code == 405
    assert site.get("/metrics").status_code == 404  # metrics are served on the admin address only


def test_metrics(site: Any) -> None:
    for _ in range(3):
        site.get("/m/1")
    site.get("/m/2")
    site.get("/fails")
    site.get("/nowhere")
    found = {
        (
            sample.name,
            sample.labels.get("route"),
            sample.labels.get("status"),
            sample.labels.get("le"),
        ): sample
        for family in text_string_to_metric_families(site.get(f"{site.admin}/metrics").text)
        for sample in family.samples
    }
    ended = found["saros_http_requests_total", "/m/{id}", "200", None]
    assert (ended.value, ended.labels["server"], ended.labels["method"]) == (4, "app:web", "GET")
    assert found["saros_http_requests_total", "/fails", "500", None].value == 1
    assert ("saros_http_requests_total", "-", "404", None) in found
    assert found["saros_http_request_duration_seconds_bucket", "/m/{id}", "200", "+Inf"].value == 4
    assert found["saros_http_requests_active", None, None, None].value == 0


def test_access_log(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "saros.http.access"):
        site.get("/x/1?a=b", headers={"X-Request-ID": "log-1"})
        deadline = time.monotonic() + 5
        while "log-1" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.001)
    line = next(record.getMessage() for record in caplog.records if "log-1" in record.getMessage())
    assert line.startswith("GET /x/1 200 3 bytes ")
    assert line.endswith(" 127.0.0.1 [log-1]")


def test_running_requests_end_before_the_server(serve: Any) -> None:
    slow = 'require("time").sleep("2s") return {"done"}'
    site = serve({"GET /slow": slow}, service={"timeouts": {"shutdown": "20s"}})
    answers: list[httpx.Response] = []
    request = threading.Thread(target=lambda: answers.append(site.get("/slow")))
    request.start()
    deadline = time.monotonic() + 20
    with httpx.Client() as admin:
        while "requests_active 1" not in admin.get(f"{site.admin}/metrics").text:
            assert time.monotonic() < deadline
    site.stop()
    request.join(20)
    assert answers[0].json() == ["done"]
    site.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(site.address, timeout=1)


def test_what_runs_too_long_is_stopped(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = serve({"GET /slow": 'require("time").sleep("1h")'}, service={"timeouts": {"shutdown": "1s"}})
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 5
        while "requests_active 1" not in httpx.get(f"{site.admin}/metrics").text:
            assert time.monotonic() < deadline
        began = time.monotonic()
        site.close()
        assert time.monotonic() - began < 8
        answer = sock.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"The server is stopping." in answer
    assert "Traceback" not in caplog.text


def test_event_streams_end_with_the_server(serve: Any) -> None:
    site = serve(
        {
            "GET /events": """
              local res = http.response():write_event("begun")
              process.inbox():receive()"""
        }
    )
    with socket.create_connection(site.address, timeout=10) as sock:
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in sock.recv(1000)
        began = time.monotonic()
        site.close()
    assert time.monotonic() - began < 5  # although requests get 10 s to finish


def test_an_address_in_use(serve: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addr = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            saros.Error, match=f"app:[a-z]+ cannot listen at {addr}: Address already in use .*_index.yaml:8"
        ):
            serve({"GET /": "return {}"}, service={"addr": addr})


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1; return the file that holds it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "site.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


def test_tls(serve: Any, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(file))
    site = serve(
        {"GET /": "return {http.request():scheme()}"},
        service={"tls": {"cert_file": str(file)}},
        verify=trust,
    )
    assert site.url.startswith("https://")
    assert site.get("/").json() == ["https"]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(str(file))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert httpx.get(site.url, verify=old).status_code == 200
    assert site.raw(b"GET / HTTP/1.1\r\n\r\n") == b""  # plain HTTP


@pytest.mark.parametrize("auth", [None, "require", "verify_if_given"])
@pytest.mark.parametrize("inline", [True, False])
def test_client_certificates(serve: Any, tmp_path: Path, auth: str | None, inline: bool) -> None:
    file = certificate(tmp_path)
    given = file.read_text() if inline else str(file)
    tls = {"mode": "manual", "cert": given, "key": given, "client_ca": given}
    if auth is not None:
        tls["client_auth"] = auth
    with_own = ssl.create_default_context(cafile=str(file))
    with_own.load_cert_chain(file)
    site = serve({"GET /": "return {true}"}, service={"tls": tls}, verify=with_own)
    assert site.get("/").json() == [True]
    without = ssl.create_default_context(cafile=str(file))
    if auth == "verify_if_given":
        assert httpx.get(site.url, verify=without).json() == [True]
    else:
        with pytest.raises(httpx.TransportError):
            httpx.get(site.url, verify=without)


def test_a_read_timeout_that_is_off(serve: Any) -> None:
    site = serve(
        {"POST /": "return {#http.request():body()}"}, service={"timeouts": {"read": 0, "write": "0"}}
    )
    assert site.post("/", content=iter([b"a", b"b"])).json() == [2]


def test_bad_certificates(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    for file in ("bad.pem", "missing.pem"):
        with pytest.raises(saros.Error, match="the certificate or key of app:web cannot be used"):
            serve({"GET /": "return {}"}, service={"tls": {"cert_file": str(tmp_path / file)}})


def test_no_servers_no_service(tmp_path: Path) -> None:
    (tmp_path / "_index.yaml").write_text("{namespace: app, entries: [{name: w, kind: temporal.worker}]}")

    async def main() -> bool:
        async with saros.open(tmp_path, "memory://") as app:
            return [each.serve(app) for each in installed().services() if each.name == "http"] == [None]

    assert asyncio.run(main())


BASE = """
namespace: app
entries:
  - {name: web, kind: http.service, addr: ":8080"}
  - {name: api, kind: http.router, prefix: /api}
  - {name: f, kind: function.lua, source: "file://f.lua"}
"""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: x, kind: http.service, addr: 8080}", '`addr` must be an address such as "127.0.0.1:8080"'),
        ('{name: x, kind: http.service, addr: ":8080"}', "app:web has the same `addr` :8080"),
        ('{name: x, kind: http.service, addr: ":81", tls: {key_file: a}}', "`tls` needs `cert_file`"),
        ("{name: x, kind: http.endpoint, path: /a}", "`func` is missing"),
        ("{name: x, kind: http.endpoint, path: a, func: f}", '`path` must be a path such as "/orders/{id}"'),
        ("{name: x, kind: http.endpoint, path: /a, func: web}", "`func` must name"),
        ("{name: x, kind: http.endpoint, path: '/{a}/{a}', func: f}", "two parameters of the same name"),
        ("{name: x, kind: http.endpoint, path: '/{a', func: f}", "has a bad parameter"),
        ("{name: x, kind: http.endpoint, path: '/{a...}/b', func: f}", "has a bad parameter"),
        ("{name: x, kind: http.endpoint, path: '/a{b}', func: f}", "has a bad parameter"),
        (
            "{name: x, kind: http.endpoint, path: '/{a}', func: f}\n"
            "  - {name: y, kind: http.endpoint, path: '/{b}', func: f}",
            "app:x serves GET /api/{b} already",
        ),
        ("{name: x, kind: http.router, middleware: [gzip]}", "`middleware.0` must be"),
        ("{name: x, kind: http.router, middleware: [token_auth]}", "needs `options.token_auth.tokens`"),
        (
            '{name: x, kind: http.router, options: {cors: {origins: ["*"], credentials: true}}}',
            "allows credentials to every origin",
        ),
        ("{name: x, kind: http.router, options: {real_ip: {trusted: [me]}}}", "me is not a network"),
        (
            "{name: x, kind: http.router, middleware: [cors], options: {cors: {credentials: true}}}",
            "allows credentials to every origin",
        ),
        (
            "{name: x, kind: http.router, middleware: [ratelimit], options: {ratelimit.request: 5}}",
            "`options.ratelimit.request` is not an option of ratelimit",
        ),
        (
            "{name: x, kind: http.router, middleware: [ratelimit], options: {ratelimit: {requests: many}}}",
            "`options.ratelimit.requests` must be an integer of 1 or more",
        ),
        (
            "{name: x, kind: http.router, middleware: [ratelimit], options: {ratelimit: {requests: 5, rate: 1}}}",
            "has both `rate` and `requests`",
        ),
        (
            "{name: x, kind: http.router, middleware: [cors], options: {ratelimit.requests: 5}}",
            "`options.ratelimit` sets a limit that does not apply",
        ),
        (
            "{name: x, kind: http.router, middleware: [ratelimit], options: {ratelimits: {requests: 5}}}",
            "`options.ratelimits` is not a middleware",
        ),
        (
            "{name: x, kind: http.router, middleware: [token_auth], options: {token_auth.store: 'app:tokens'}}",
            "`options.token_auth.store` is not an option of token_auth",
        ),
        (
            "{name: x, kind: http.router, middleware: [cors], "
            "options: {cors.allow.origins: a, cors: {origins: [b]}}}",
            "is set twice",
        ),
        (
            "{name: x, kind: http.router, post_middleware: [endpoint_firewall]}",
            "`post_middleware` is not supported",
        ),
        ('{name: x, kind: http.service, addr: ":81", limits: {bodies: 5}}', "`limits.bodies` is not known"),
        ('{name: x, kind: http.service, addr: ":81", timeouts: {reed: 5s}}', "`timeouts.reed` is not known"),
        ('{name: x, kind: http.service, addr: ":81", limit: {body: 5}}', "`limit` is not known"),
        (
            '{name: x, kind: http.service, addr: ":81", tls: {cert: a, clientca: b}}',
            "`tls.clientca` is not known",
        ),
        ("{name: x, kind: http.router, middlewares: [token_auth]}", "`middlewares` is not known"),
        ("{name: x, kind: http.endpoint, path: /a, func: f, maxbody: 5}", "`maxbody` is not known"),
        ('{name: x, kind: http.service, addr: ":81", tls: {mode: auto}}', "`tls.mode` is manual or none"),
        (
            '{name: x, kind: http.service, addr: ":81", tls: {cert: a, cert_file: b}}',
            "has both `cert` and `cert_file`",
        ),
        (
            '{name: x, kind: http.service, addr: ":81", tls: {cert: a, client_auth: require}}',
            "`tls.client_auth: require` needs `client_ca`",
        ),
        (
            '{name: x, kind: http.service, addr: ":81", tls: {cert: a, client_ca: b, client_auth: none}}',
            "leaves `client_ca` without effect",
        ),
        ('{name: x, kind: http.static, directory: "file://missing"}', "`directory`"),
        ('{name: x, kind: http.service, addr: ":82"}', "`meta.server` is missing"),
    ],
)
def test_problems_are_found_when_the_app_is_loaded(tmp_path: Path, entry: str, message: str) -> None:
    (tmp_path / "f.lua").write_text("return function() end")
    (tmp_path / "_index.yaml").write_text(f"{BASE}  - {entry}\n")
    with pytest.raises(AppError) as caught:
        saros.app.loading.load_app(tmp_path)
    assert message in str(caught.value)
