"""The target of a connection, from a URL or a ``temporal.client`` entry."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from temporalio.client import KeepAliveConfig, TLSConfig

from saros.entries import Entry, Registry
from saros.model.errors import INVALID, Error
from saros.model.text import without_secrets
from saros.model.timing import parse_duration

_CONNECT_S: Final = 10.0
_ADDRESS: Final = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


class Target(NamedTuple):
    """The address, namespace and credentials of a connection."""

    address: str
    namespace: str
    tls: bool | TLSConfig
    api_key: str | None
    timeout_s: float
    keep_alive: KeepAliveConfig

    @property
    def url(self) -> str:
        return f"temporal://{self.address}/{self.namespace}"


def target_of(url: str, registry: Registry, entry: Entry | None = None) -> Target:
    """Return the target of a URL for an app; the client entry supplies what the URL omits.

    :raises Error: INVALID when the URL is not valid or a file cannot be read.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username:
        raise Error(
            f"a Temporal URL may not have a user, password or options, as {without_secrets(url)} has",
            INVALID,
            hint="write temporal://host:port/namespace, or temporal://",
        )
    clients = registry.of_kind("temporal.client")
    if entry is None and clients:
        entry = clients[0]
    address = parts.netloc or (entry.get("address") if entry else None) or "localhost:7233"
    if ":" not in address.rpartition("]")[2]:
        address += ":7233"
    port = _ADDRESS.fullmatch(address)
    if port is None or not 0 < int(port[1]) < 65536:
        where = entry.where("address") if entry and not parts.netloc else None
        what = without_secrets(address) if parts.netloc else "what the temporal.client entry says"
        raise Error(
            f"{what} is not the address of a Temporal server", INVALID, where=where, hint="write host:port"
        )
    namespace = unquote(parts.path.strip("/")) or (entry.get("namespace") if entry else None) or "default"
    if entry is None:
        return Target(address, namespace, False, None, _CONNECT_S, KeepAliveConfig())
    return Target(
        address,
        namespace,
        tls_of(entry, registry),
        api_key_of(entry, registry),
        _seconds(entry, "connection_timeout", _CONNECT_S),
        KeepAliveConfig(
            int(_seconds(entry, "keep_alive_time", 30.0) * 1000),
            int(_seconds(entry, "keep_alive_timeout", 15.0) * 1000),
        ),
    )


def _seconds(entry: Entry, path: str, default: float) -> float:
    value = entry.get(path)
    return seconds(value) or default


def seconds(value: Any) -> float:
    """Return the seconds of an entry's duration, which is a text or milliseconds; 0 if it is missing."""
    return parse_duration(value) / 1e9 if value else 0.0


# --- certificates, keys and API keys ---------------------------------------------------------------
#
# They are checked before use, because the SDK's own errors name neither the file nor the mistake.


def tls_of(entry: Entry, registry: Registry) -> bool | TLSConfig:
    """Return the TLS settings of a client entry; any ``auth`` enables TLS.

    :raises Error: INVALID, naming the key and the file.
    """
    auth, tls = entry.get("auth", {}), entry.get("tls", {})
    wanted = tls.get("enabled")
    if wanted is None:
        wanted = bool(tls) or auth.get("type", "none") != "none"
    if not wanted:
        return False
    if tls.get("insecure_skip_verify"):
        raise Error(
            "insecure_skip_verify is not possible with Temporal's client, which always verifies",
            INVALID,
            where=entry.where("tls.insecure_skip_verify"),
            hint="set tls.ca_file to the server's certificate or its authority's, and tls.server_name if the "
            "certificate has another name than the address",
        )
    ca = _pem(entry, registry, "tls", "ca")
    if ca is not None:
        _certificates(entry, "tls.ca_file", ca)
    if auth.get("type") != "mtls":
        return TLSConfig(server_root_ca_cert=ca, domain=tls.get("server_name"))
    cert, key = _pem(entry, registry, "auth", "cert"), _pem(entry, registry, "auth", "key")
    if cert is not None and key is not None:
        _check_pair(entry, cert, key)
    return TLSConfig(
        server_root_ca_cert=ca, domain=tls.get("server_name"), client_cert=cert, client_private_key=key
    )


def api_key_of(entry: Entry, registry: Registry) -> str | None:
    """Return the API key of a client entry.

    :raises Error: INVALID when it is missing, or not valid in a header.
    """
    if entry.get("auth.type") != "api_key":
        return None
    path, key = "auth.api_key", str(entry.get("auth.api_key") or "").encode()
    if not key and entry.get("auth.api_key_env"):
        path, key = "auth.api_key_env", _variable(entry, "auth.api_key_env")
    elif not key:
        path, key = "auth.api_key_file", _file(entry, registry, "auth.api_key_file") or b""
    key = key.strip()
    if not key:
        raise _wrong(entry, path, "is empty")
    if not all(0x21 <= byte <= 0x7E for byte in key):
        raise _wrong(entry, path, "is not a valid API key: it has characters that no key may contain")
    return key.decode("ascii")


def _pem(entry: Entry, registry: Registry, table: str, what: str) -> bytes | None:
    text = entry.get(f"{table}.{what}_pem")
    if text:
        return str(text).encode()
    if entry.get(f"{table}.{what}_pem_env"):
        return _variable(entry, f"{table}.{what}_pem_env")
    return _file(entry, registry, f"{table}.{what}_file")


def _variable(entry: Entry, path: str) -> bytes:
    name = str(entry.get(path))
    value = os.environ.get(name)
    if not value:
        raise Error(f"{path}: the environment variable {name} is not set", INVALID, where=entry.where(path))
    return value.encode()


def _file(entry: Entry, registry: Registry, path: str) -> bytes | None:
    name = entry.get(path)
    if not name:
        return None
    file = Path(registry.root, str(name).removeprefix("file://"))
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Error(f"cannot read {path} {name}: {exc.strerror}", INVALID, where=entry.where(path)) from exc


def _wrong(entry: Entry, path: str, what: str) -> Error:
    value = str(entry.get(path) or "")
    shown = f" {value}" if path.endswith(("_file", "_env")) else ""  # never the secret itself
    return Error(f"{path}{shown} {what}", INVALID, retryable=False, where=entry.where(path))


def _path(entry: Entry, what: str) -> str:
    given = (f"auth.{what}_{form}" for form in ("pem", "pem_env", "file"))
    return next((path for path in given if entry.get(path)), f"auth.{what}_file")


def _certificates(entry: Entry, path: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise _wrong(entry, path, "holds no certificate in PEM format") from exc


def _check_pair(entry: Entry, cert: bytes, key: bytes) -> None:
    path = _path(entry, "cert")
    own = _certificates(entry, path, cert)[0]
    if own.not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise _wrong(entry, path, f"has expired on {own.not_valid_after_utc:%Y-%m-%d}")
    path = _path(entry, "key")
    try:
        private = load_pem_private_key(key, None)
    except TypeError as exc:
        raise _wrong(entry, path, "is encrypted; Temporal's client needs it without a password") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise _wrong(entry, path, "holds no private key in PEM format") from exc
    if _bytes(private.public_key()) != _bytes(own.public_key()):
        raise _wrong(entry, path, f"is not the key of {_path(entry, 'cert')}")


def _bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
