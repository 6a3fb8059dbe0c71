"""Where to connect, and how: what a URL or a ``temporal.client`` entry says."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from temporalio.client import KeepAliveConfig, TLSConfig

from saros.entries import Entry, Registry
from saros.model.durations import parse_duration
from saros.model.errors import INVALID, Error
from saros.model.text import without_secrets

from .credentials import api_key_of, tls_of

_CONNECT_S: Final = 10.0
_ADDRESS: Final = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


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
            f"a Temporal URL has no user, password or options, as {without_secrets(url)} has",
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
            f"{what} is no address of a Temporal server", INVALID, where=where, hint="write host:port"
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
    """Seconds of a duration of an entry, which is a text or milliseconds; 0 for none."""
    return parse_duration(value) / 1e9 if value else 0.0
