"""Registers ``redis://`` and ``rediss://``: durable workflows on one Redis or Valkey.

redis://user:password@host:6379/0?prefix=saros&lease=10s&retention=7d
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import saros
from saros.app.hookspecs import BackendPlugin
from saros.interfaces.backend import Backend


def make(url: str, options: Mapping[str, Any]) -> Backend:
    """A backend for a ``redis://``, ``rediss://`` or ``unix://`` URL.

    :raises Error: INVALID for options that it does not know.
    """
    from saros.engine import StoreBackend

    from .options import parse
    from .store import RedisStore

    store = RedisStore(parse(url))
    return StoreBackend(store, store.clock)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    summary = "durable, on one Redis 6.2+ or Valkey, with any number of workers"
    return [
        BackendPlugin("redis", make, summary),
        BackendPlugin("rediss", make, f"{summary}, over TLS"),
        BackendPlugin("unix", make, f"{summary}, through a Unix socket"),
    ]
