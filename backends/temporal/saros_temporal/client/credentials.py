"""Certificates, keys and API keys of a ``temporal.client`` entry, looked at before they are sent anywhere.

The SDK's own errors about them name neither the file nor the mistake.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from temporalio.client import TLSConfig

from saros.entries import Entry, Registry
from saros.model.errors import INVALID, Error


def tls_of(entry: Entry, registry: Registry) -> bool | TLSConfig:
    """What a client entry says about TLS; any ``auth`` switches it on.

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
    """The API key of a client entry.

    :raises Error: INVALID when there is none, or none that a header can carry.
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
        raise _wrong(entry, path, "is no API key: it has characters that no key has")
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
