"""Connections: from a URL or a ``temporal.client`` entry to a connected client, with errors that say what fails."""

from __future__ import annotations

import asyncio
import atexit
import re
import time
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, HeaderCodecBehavior, KeepAliveConfig, TLSConfig
from temporalio.converter import DataConverter
from temporalio.service import RPCError

from saros.entries import Entry, Registry
from saros.model.errors import INVALID, Error
from saros.model.text import without_secrets
from saros.model.timing import parse_duration

from .credentials import api_key_of, tls_of
from .refusals import no_answer, rpc_error, unreachable

_CONNECT_S = 10.0
_ADDRESS = re.compile(r"(?:[^\s:/\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


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


async def connect(target: Target, converter: DataConverter) -> Client:
    """A connected client, whose namespace exists.

    :raises Error: UNAVAILABLE, NOT_FOUND or PERMISSION_DENIED, naming server, namespace or certificate.
    """
    _guard_exit()
    codec = converter.payload_codec is not None
    try:
        async with asyncio.timeout(target.timeout_s):
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
                DescribeNamespaceRequest(namespace=target.namespace)
            )
    except TimeoutError as error:
        raise no_answer(target) from error
    except RPCError as error:
        raise rpc_error(error, target) from error
    except (RuntimeError, ValueError) as error:
        raise unreachable(target, str(error)) from error
    return client


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
