"""redis-py clients from options: single server, Cluster, Sentinel; asynchronous or for a thread."""

from __future__ import annotations

import random
from typing import Any

import redis
import redis.asyncio as aio
from redis.asyncio import sentinel as aio_sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as ThreadRetry

from .options import Options

CONNECTIONS = 64


def connect(options: Options, connections: int = CONNECTIONS) -> Any:
    """A client that never repeats anything by itself.

    It has no socket timeout: redis-py would wrap its reads in wait_for, which loses cancellations.
    """
    settings = _settings(options)
    if options.cluster:
        nodes = [ClusterNode(host, port) for host, port in options.hosts]
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), **settings)
    settings.update(db=options.db, retry=Retry(NoBackoff(), 0), retry_on_error=[])
    if options.sentinel:
        watchers: Any = aio_sentinel.Sentinel
        return watchers(list(options.hosts)).master_for(options.sentinel, **settings)
    host, port = options.hosts[0]
    if settings.pop("ssl", False):
        settings["connection_class"] = aio.SSLConnection
    pool = aio.BlockingConnectionPool(
        host=host, port=port, max_connections=connections, timeout=None, **settings
    )
    return aio.Redis.from_pool(pool)


async def connect_listener(options: Options, commands: Any) -> Any:
    """A client to subscribe with: in a cluster any node, for each hears what is published at the others."""
    if not options.cluster:
        return connect(options, 1)
    await commands.initialize()
    node = random.choice(commands.get_nodes())
    single = options._replace(cluster=False, hosts=((node.host, int(node.port)),), db=0)
    return connect(single, 1)


async def disconnect(client: Any) -> None:
    """Close a client of `connect`, with what it asked Sentinel through."""
    await client.aclose()
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.aclose()


def connect_thread(options: Options) -> Any:
    """A blocking client for a thread, with a timeout."""
    settings = {**_settings(options), "socket_timeout": 5.0}
    if options.cluster:
        node: Any = redis.cluster.ClusterNode
        nodes = [node(host, port) for host, port in options.hosts]
        return redis.RedisCluster(startup_nodes=nodes, **settings)
    settings.update(db=options.db, retry=ThreadRetry(NoBackoff(), 0))
    if options.sentinel:
        watchers: Any = redis.Sentinel
        return watchers(list(options.hosts)).master_for(options.sentinel, **settings)
    host, port = options.hosts[0]
    return redis.Redis(host=host, port=port, **settings)


def _settings(options: Options) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "username": options.username,
        "password": options.password,
        "socket_timeout": None,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "protocol": 2,
    }
    if options.tls:
        settings["ssl"] = True
        if options.tls_ca:
            settings["ssl_ca_certs"] = options.tls_ca
    return settings
