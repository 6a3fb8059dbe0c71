"""Connections: from a URL or a ``temporal.client`` entry to a connected client, with errors that say what fails."""

from __future__ import annotations

import atexit
import time
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, HeaderCodecBehavior, KeepAliveConfig, TLSConfig
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from saros.entries import Entry, Registry
from saros.entries.durations import parse_duration
from saros.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, Error

_CONNECT_S = 10.0
_TLS_WORDS = ("certificate", "invalid peer", "handshake", "parseerror", "pem file")


class Target(NamedTuple):
    """Where to connect, and how."""

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
    """What a URL means for an app; what it leaves out is the client entry's.

    :raises Error: INVALID when the URL is none or a file cannot be read.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username:
        raise Error(
            f"{url} is no Temporal URL", INVALID, hint="write temporal://host:port/namespace, or temporal://"
        )
    clients = registry.of_kind("temporal.client")
    if entry is None and clients:
        entry = clients[0]
    address = parts.netloc or (entry.get("address") if entry else None) or "localhost:7233"
    if ":" not in address.rpartition("]")[2]:
        address += ":7233"
    namespace = unquote(parts.path.strip("/")) or (entry.get("namespace") if entry else None) or "default"
    if entry is None:
        return Target(address, namespace, False, None, _CONNECT_S, KeepAliveConfig())
    return Target(
        address,
        namespace,
        _tls(entry, registry),
        _api_key(entry, registry),
        _seconds(entry, "connection_timeout", _CONNECT_S),
        KeepAliveConfig(
            int(_seconds(entry, "keep_alive_time", 30.0) * 1000),
            int(_seconds(entry, "keep_alive_timeout", 15.0) * 1000),
        ),
    )


async def connect(target: Target, converter: DataConverter) -> Client:
    """A connected client, whose namespace exists.

    :raises Error: UNAVAILABLE, NOT_FOUND or PERMISSION_DENIED, naming server, namespace or certificate.
    """
    _guard_exit()
    codec = converter.payload_codec is not None
    try:
        client = await Client.connect(
            target.address,
            namespace=target.namespace,
            tls=target.tls,
            api_key=target.api_key,
            data_converter=converter,
            keep_alive_config=target.keep_alive,
            connect_timeout=timedelta(seconds=target.timeout_s),
            header_codec_behavior=HeaderCodecBehavior.CODEC if codec else HeaderCodecBehavior.NO_CODEC,
        )
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=target.namespace), timeout=timedelta(seconds=target.timeout_s)
        )
    except RPCError as error:
        raise rpc_error(error, target) from error
    except (RuntimeError, ValueError) as error:
        raise _unreachable(target, str(error)) from error
    return client


def rpc_error(error: RPCError, target: Target, what: str = "") -> Error:
    """The error that a refused or failed request is."""
    status = error.status
    text = error.message
    if status == RPCStatusCode.NOT_FOUND and "amespace" in text:
        return Error(
            f"the Temporal server {target.address} has no namespace {target.namespace}",
            NOT_FOUND,
            retryable=False,
            hint=f"temporal operator namespace create --namespace {target.namespace}",
        )
    if status == RPCStatusCode.NOT_FOUND:
        return Error(f"{what or text} not found", NOT_FOUND, retryable=False)
    if status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return Error(
            f"the Temporal server {target.address} refuses this client for the namespace "
            f"{target.namespace}: {text}",
            PERMISSION_DENIED,
            retryable=False,
            hint="check `auth` of the temporal.client entry",
        )
    if status == RPCStatusCode.INVALID_ARGUMENT:
        return Error(text, INVALID, retryable=False)
    return _unreachable(target, text)


def _unreachable(target: Target, text: str) -> Error:
    lowered = text.lower()
    where = f"the Temporal server {target.address} (namespace {target.namespace})"
    if any(word in lowered for word in _TLS_WORDS):
        return Error(
            f"no secure connection to {where}: {text}",
            UNAVAILABLE,
            hint="check `tls` and the certificate files of the temporal.client entry",
        )
    hint = "is it running? temporal server start-dev starts one for development"
    if target.tls is False:
        hint += "; if it speaks TLS, set tls: {enabled: true} in the temporal.client entry"
    return Error(f"cannot reach {where}: {text}", UNAVAILABLE, hint=hint)


def _tls(entry: Entry, registry: Registry) -> bool | TLSConfig:
    auth, tls = entry.get("auth", {}), entry.get("tls", {})
    wanted = tls.get("enabled")
    if wanted is None:
        wanted = bool(tls) or auth.get("type", "none") != "none"
    if not wanted:
        return False
    if tls.get("insecure_skip_verify"):
        raise Error(
            "insecure_skip_verify is not possible with Temporal's client; set tls.ca_file to the server's own "
            "certificate authority, and tls.server_name if its name differs",
            INVALID,
            where=entry.where("tls.insecure_skip_verify"),
        )
    ca = _file(entry, registry, "tls.ca_file")
    cert = _file(entry, registry, "auth.cert_file") or _text(auth.get("cert_pem"))
    key = _file(entry, registry, "auth.key_file") or _text(auth.get("key_pem"))
    return TLSConfig(
        server_root_ca_cert=ca, domain=tls.get("server_name"), client_cert=cert, client_private_key=key
    )


def _api_key(entry: Entry, registry: Registry) -> str | None:
    if entry.get("auth.type") != "api_key":
        return None
    key = entry.get("auth.api_key")
    if key:
        return str(key)
    found = _file(entry, registry, "auth.api_key_file")
    return found.decode().strip() if found else None


def _file(entry: Entry, registry: Registry, path: str) -> bytes | None:
    name = entry.get(path)
    if not name:
        return None
    file = Path(registry.root, str(name).removeprefix("file://"))
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Error(f"cannot read {path} {name}: {exc.strerror}", INVALID, where=entry.where(path)) from exc


def _text(value: Any) -> bytes | None:
    return str(value).encode() if value else None


def _seconds(entry: Entry, path: str, default: float) -> float:
    value = entry.get(path)
    return seconds(value) or default


def seconds(value: Any) -> float:
    """Seconds of a duration of an entry, which is a text or milliseconds; 0 for none."""
    return parse_duration(value) / 1e9 if value else 0.0


@cache
def _guard_exit() -> None:
    """Give the bridge's threads a moment at exit: one that still resolves a future then aborts the process."""
    atexit.register(time.sleep, 0.1)
