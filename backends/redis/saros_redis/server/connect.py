"""redis-py clients from options: single server, Cluster, Sentinel; asynchronous or for a thread."""

from __future__ import annotations

import random
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import redis
import redis.asyncio as aio
from anyio import move_on_after
from redis.asyncio import sentinel as aio_sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as ThreadRetry

from saros.model.errors import INVALID, Error

from ..options import Options

CONNECTIONS = 64
CONNECT_S = 5.0
"""Seconds to connect, including the TLS handshake."""
CLOSE_S = 2.0
"""Seconds to close a connection; a peer that hangs must not block a process that stops."""
SENTINEL_S = 1.0
"""Seconds to connect to one Sentinel and get its answer, before the next one is asked."""


def connect(options: Options, connections: int = CONNECTIONS) -> Any:
    """Return a client that never repeats a command by itself.

    It has no socket timeout: redis-py would wrap its reads in wait_for, which loses cancellations.
    """
    settings = _settings(options)
    if options.cluster:
        nodes = [ClusterNode(host, port) for host, port in options.hosts]
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **settings)
    settings.update(db=options.db, retry=Retry(NoBackoff(), 0), retry_on_error=[])
    if options.sentinel:
        watchers: Any = aio_sentinel.Sentinel
        asking = {**_sentinel_settings(options), "retry": Retry(NoBackoff(), 0), "retry_on_error": []}
        manager = watchers(list(options.hosts), sentinel_kwargs=asking)
        return manager.master_for(options.sentinel, **settings)
    if settings.pop("ssl", False):
        settings["connection_class"] = aio.SSLConnection
    if options.socket:
        settings.update(connection_class=aio.UnixDomainSocketConnection, path=options.socket)
        del settings["socket_keepalive"]
    else:
        settings["host"], settings["port"] = options.hosts[0]
    pool = aio.BlockingConnectionPool(max_connections=connections, timeout=None, **settings)
    return aio.Redis.from_pool(pool)


async def connect_listener(options: Options, commands: Any) -> Any:
    """Return a client for subscriptions: in a cluster, of any node, because every node receives all messages."""
    if not options.cluster:
        return connect(options, 1)
    await commands.initialize()
    node = random.choice(commands.get_nodes())
    single = options._replace(cluster=False, hosts=((node.host, int(node.port)),), db=0)
    return connect(single, 1)


async def disconnect(client: Any, *subscriptions: Any) -> None:
    """Close a client of `connect`, with its subscriptions and its Sentinel connections; also when cancelled."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    sentinels = manager.sentinels if manager is not None else ()
    async with AsyncExitStack() as stack:
        for each in (*sentinels, client, *subscriptions):
            stack.push_async_callback(_close, each)


async def _close(client: Any) -> None:
    with move_on_after(CLOSE_S, shield=True):
        await client.aclose()


def connect_thread(options: Options) -> Any:
    """Return a blocking client for a thread, with a timeout."""
    settings = {**_settings(options), "socket_timeout": 5.0}
    if options.cluster:
        node: Any = redis.cluster.ClusterNode
        nodes = [node(host, port) for host, port in options.hosts]
        return redis.RedisCluster(startup_nodes=nodes, **settings)
    settings.update(db=options.db, retry=ThreadRetry(NoBackoff(), 0))
    if options.sentinel:
        watchers: Any = redis.Sentinel
        asking = {**_sentinel_settings(options), "retry": ThreadRetry(NoBackoff(), 0)}
        manager = watchers(list(options.hosts), sentinel_kwargs=asking)
        return manager.master_for(options.sentinel, **settings)
    if options.socket:
        return redis.Redis(unix_socket_path=options.socket, **settings)
    host, port = options.hosts[0]
    return redis.Redis(host=host, port=port, **settings)


def check_files(options: Options) -> None:
    """Read the files of certificates.

    :raises Error: INVALID, naming the option and the file.
    """
    files = {"tls_ca": options.tls_ca, "tls_cert": options.tls_cert, "tls_key": options.tls_key}
    for name, path in files.items():
        if path and not Path(path).is_file():
            raise _unreadable(options, name, path, "there is no such file")
    context = ssl.create_default_context()
    try:
        if options.tls_ca:
            context.load_verify_locations(options.tls_ca)
    except OSError as exc:
        raise _unreadable(options, "tls_ca", options.tls_ca, _words(exc)) from exc
    try:
        if options.tls_cert:  # the password keeps OpenSSL from asking for one on the terminal
            context.load_cert_chain(options.tls_cert, options.tls_key, password="")
    except OSError as exc:
        both = " with ".join(path for path in (options.tls_cert, options.tls_key) if path)
        raise _unreadable(options, "tls_cert", both, _words(exc)) from exc


def _words(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason.lower().replace("_", " ")
    return exc.strerror or "OpenSSL cannot read it; it must be in PEM format, without a passphrase"


def _unreadable(options: Options, name: str, path: str | None, why: str) -> Error:
    return Error(f"{options.url}: {name}={path} cannot be used: {why}", INVALID, retryable=False)


def _settings(options: Options) -> dict[str, Any]:
    return {
        "username": options.username,
        "password": options.password,
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_S,
        "socket_keepalive": True,
        "protocol": 2,
        **_tls_settings(options),
    }


def _sentinel_settings(options: Options) -> dict[str, Any]:
    return {
        "username": options.sentinel_username,
        "password": options.sentinel_password,
        "socket_timeout": SENTINEL_S,  # a Sentinel that hangs must not hide the others
        "socket_connect_timeout": SENTINEL_S,
        "protocol": 2,
        **_tls_settings(options),
    }


def _tls_settings(options: Options) -> dict[str, Any]:
    if not options.tls:
        return {}
    return {
        "ssl": True,
        "ssl_check_hostname": True,  # redis-py 5 does not unless told
        "ssl_ca_certs": options.tls_ca,
        "ssl_certfile": options.tls_cert,
        "ssl_keyfile": options.tls_key or options.tls_cert,
    }
