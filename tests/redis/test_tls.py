"""TLS, in front of a real server: the server of the tests' wheel has none, so a small proxy ends it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from listeners import listening

import saros
from saros.model.background import LIMIT_S, Job, end_all
from saros.model.errors import INVALID, UNAVAILABLE
from saros_testing import lua_app

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


class Authority:
    """Signs certificates, each with its key in one file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        self._write(self.file, self._sign(self._name, self._key.public_key()))

    def issue(self, name: str, *hosts: str, days: int = 1) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([_general(host) for host in hosts or (name,)])
        file = self.folder / f"{name}.pem"
        self._write(file, self._sign(subject, key.public_key(), days, names), key)
        return file

    def _sign(
        self, subject: Any, key: Any, days: int = 1, names: x509.SubjectAlternativeName | None = None
    ) -> x509.Certificate:
        """A certificate; without names, of an authority. It has all that Python 3.13 asks of one."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=3))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        basic = x509.BasicConstraints(ca=names is None, path_length=None)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(basic, critical=True).add_extension(issuer, critical=False)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if names is None:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        else:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, file: Path, certificate: x509.Certificate, key: Any = None) -> None:
        text = certificate.public_bytes(serialization.Encoding.PEM)
        if key is not None:
            text += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        file.write_bytes(text)


def _general(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


class Proxy:
    """Ends TLS in front of a server, in a thread of its own."""

    def __init__(self, target: int, certificate: Path, client_ca: Path | None = None) -> None:
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(
            lambda _loop, _context: None
        )  # the tests refuse handshakes on purpose
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with listening(self._pass, self._context) as self.port:
            self._ready.set()
            await self._stop.wait()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_connection("127.0.0.1", self._target)
        copies = [Job(_copy(reader, down), "requests"), Job(_copy(up, writer), "replies")]
        try:
            await asyncio.wait({each.task for each in copies}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_all(copies, LIMIT_S, at_once=True)
            for end in (down, writer):
                end.transport.abort()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture
def proxy(server: Any, folder: Path) -> Iterator[Any]:
    made: list[Proxy] = []

    def make(certificate: Path, client_ca: Path | None = None) -> Proxy:
        made.append(Proxy(server.port, certificate, client_ca))
        return made[-1]

    yield make
    for each in made:
        each.close()


def squares(folder: Path, url: str) -> None:
    """Run a workflow with an activity through a URL."""
    path = lua_app(
        folder / "app",
        workflows={"main": 'return funcs.call("app:square", input)'},
        functions={"square": "return input * input"},
    )

    async def main() -> None:
        async with saros.open(path, backend=url) as app:
            assert await (await app.start("app:main", 7)).result(90) == 49

    asyncio.run(main())


def refused(folder: Path, url: str) -> saros.Error:
    with pytest.raises(saros.Error) as raised:
        squares(folder, url)
    return raised.value


def tls(server: Any, port: int, **options: object) -> str:
    url: str = server.url(**options)
    return url.replace("redis://", "rediss://").replace(f":{server.port}/", f":{port}/")


def test_workflows_over_tls(server: Any, authority: Authority, proxy: Any, tmp_path: Path) -> None:
    port = proxy(authority.issue("localhost")).port
    squares(tmp_path, tls(server, port, tls_ca=authority.file))


def test_an_unknown_authority(server: Any, authority: Authority, proxy: Any, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    port = proxy(authority.issue("localhost")).port
    for options in ({}, {"tls_ca": other.file}):
        error = refused(tmp_path, tls(server, port, **options))
        assert error.kind == UNAVAILABLE
        assert f"the TLS certificate of Redis at localhost:{port} cannot be trusted" in error.message
        assert "tls_ca=" in (error.hint or "")


def test_a_certificate_for_another_host(
    server: Any, authority: Authority, proxy: Any, tmp_path: Path
) -> None:
    port = proxy(authority.issue("elsewhere.example")).port
    url = tls(server, port, tls_ca=authority.file)
    error = refused(tmp_path, url)
    assert f"the TLS certificate of Redis at localhost:{port} is not for this name" in error.message
    error = refused(tmp_path, url.replace("localhost", "127.0.0.1"))
    assert f"the TLS certificate of Redis at 127.0.0.1:{port} is not for this address" in error.message


def test_an_old_certificate(server: Any, authority: Authority, proxy: Any, tmp_path: Path) -> None:
    port = proxy(authority.issue("localhost", days=-1)).port
    assert "has expired" in refused(tmp_path, tls(server, port, tls_ca=authority.file)).message


def test_redis_to_a_port_with_tls(server: Any, authority: Authority, proxy: Any, tmp_path: Path) -> None:
    port = proxy(authority.issue("localhost")).port
    error = refused(tmp_path, server.url().replace(f":{server.port}/", f":{port}/"))
    assert error.kind == UNAVAILABLE
    assert f"localhost:{port}" in error.message
    assert "rediss://" in (error.hint or "")


def test_rediss_to_a_port_without_tls(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "saros_redis.server.connect.CONNECT_S", 0.5
    )  # a server may wait for the end of the line
    error = refused(tmp_path, tls(server, server.port))
    assert error.kind == UNAVAILABLE
    assert "TLS" in error.message
    assert f"localhost:{server.port}" in error.message
    assert "redis://" in (error.hint or "")


def test_client_certificates(server: Any, authority: Authority, proxy: Any, tmp_path: Path) -> None:
    port = proxy(authority.issue("localhost"), authority.file).port
    worker = authority.issue("worker")
    squares(tmp_path, tls(server, port, tls_ca=authority.file, tls_cert=worker))
    squares(tmp_path, tls(server, port, tls_ca=authority.file, tls_cert=worker, tls_key=worker))

    stranger = Authority(tmp_path, "other").issue("stranger")
    # TLS 1.3 refuses after the handshake: whether its reason or only the end of the connection is seen is a race.
    for options, text in (
        ({}, "requires a TLS certificate"),
        ({"tls_cert": stranger}, "does not trust the client's"),
    ):
        error = refused(tmp_path, tls(server, port, tls_ca=authority.file, **options))
        assert error.kind == UNAVAILABLE
        assert f"Redis at localhost:{port}" in error.message
        assert text in error.message or "closes the connection" in error.message
        assert "tls_cert" in (error.hint or "")


def test_unusable_certificate_files(server: Any, authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    worker, other = authority.issue("worker"), authority.issue("other")
    for options, text in (
        ({"tls_ca": tmp_path / "none.pem"}, "none.pem cannot be used: there is no such file"),
        ({"tls_ca": empty}, "empty.pem cannot be used: no certificate"),
        ({"tls_cert": authority.file}, "authority.pem cannot be used"),
        ({"tls_cert": worker, "tls_key": other}, "key values mismatch"),
    ):
        error = refused(tmp_path, tls(server, server.port, **options))
        assert error.kind == INVALID
        assert text in error.message
