"""A TLS server in front of Temporal's dev server, which has none; and certificates for it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import hpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from listeners import listening

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _PRIORITY, _PADDED = 1, 0x20, 0x8
_PING, _ACK = 6, 1


class Authority:
    """A certificate authority, whose files are in a directory."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._begun(self._name, self._key, 10)
            .add_extension(x509.BasicConstraints(True, None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = root / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=5))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def issue(self, name: str, *hosts: str, days: int = 5, client: bool = False) -> tuple[Path, Path]:
        """The files of a certificate and its key; with negative `days` it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        names: list[x509.GeneralName] = [
            x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            for host in hosts or (name,)
        ]
        certificate = (
            self._begun(subject, key, days)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        found = self.root / f"{name}.cert.pem", self.root / f"{name}.key.pem"
        found[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        found[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return found


def context(cert: Path, key: Path, clients: Path | None = None) -> ssl.SSLContext:
    """Return a server's context; with `clients`, it requires client certificates from that authority."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(cert, key)
    found.set_alpn_protocols(["h2"])
    if clients is not None:
        found.verify_mode = ssl.CERT_REQUIRED
        found.load_verify_locations(clients)
    return found


class Front:
    """Listens with TLS, hands everything on to a Temporal server, and reads the headers on the way.

    :param port: of the server; 0 answers each request itself, with a refusal.
    """

    def __init__(self, tls: ssl.SSLContext, port: int) -> None:
        self._port = port
        self._listening = listening(self._serve, tls)
        self._at = 0
        self.headers: list[dict[str, str]] = []
        self.clients: list[str] = []  # the names in their certificates
        self.pinged = asyncio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._at}"

    async def __aenter__(self) -> Front:
        self._at = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert") or {}
        self.clients += [
            value for part in peer.get("subject", ()) for key, value in part if key == "commonName"
        ]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if not self._port:
                await self._refuse(reader, writer)
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(self._hand_on(reader, forth), _copy(back, writer))
            finally:
                forth.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy HTTP/2 frames, and note what the headers say."""
        decoder = hpack.Decoder()
        writer.write(await reader.readexactly(len(PREFACE)))
        while True:
            head = await reader.readexactly(9)
            body = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] == _HEADERS:
                block = body[1 : len(body) - body[0]] if head[4] & _PADDED else body
                block = block[5:] if head[4] & _PRIORITY else block
                self.headers.append({str(key): str(value) for key, value in decoder.decode(block)})
            elif head[3] == _PING and not head[4] & _ACK:
                self.pinged.set()
            writer.write(head + body)
            await writer.drain()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as a server that does not know the key."""
        http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        http.initiate_connection()
        writer.write(http.data_to_send())
        while data := await reader.read(65536):
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.headers.append({str(key): str(value) for key, value in event.headers})
                    answer = [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", "7"),
                        ("grpc-message", "Request unauthorized."),
                    ]
                    http.send_headers(event.stream_id, answer, end_stream=True)
            writer.write(http.data_to_send())
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
