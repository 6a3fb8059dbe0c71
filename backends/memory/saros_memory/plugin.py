"""Registers ``memory://``: everything in this process, for laptops and tests.

memory://             a store of its own
memory://name         a store that all users of the same name in this process share
memory://?time=skip   virtual time: when nothing can run, the clock jumps to the next timer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import saros
from saros.app.hookspecs import BackendPlugin
from saros.model.errors import INVALID, Error
from saros.model.text import without_secrets

if TYPE_CHECKING:
    from saros.interfaces.backend import Backend
    from saros.model.clock import Clock

_shared: dict[str, tuple[Any, Clock]] = {}


def make(url: str, options: Mapping[str, Any]) -> Backend:
    """Return a backend for a ``memory://`` URL.

    :raises Error: INVALID for unknown options.
    """
    from saros.engine import StoreBackend
    from saros.model.clock import RealClock

    from .store import MemoryStore
    from .virtual_clock import VirtualClock

    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    time = query.pop("time", "real")
    if query or time not in ("real", "skip"):
        raise Error(
            f"{without_secrets(url)} has an unknown option",
            INVALID,
            hint="use memory:// or memory://?time=skip",
        )
    name = parts.netloc + parts.path
    clean = without_secrets(url)
    if name and name in _shared:
        return StoreBackend(*_shared[name])
    clock = VirtualClock() if time == "skip" else RealClock()
    store = MemoryStore(clean, clock, clock.touch if isinstance(clock, VirtualClock) else lambda: None)
    if name:
        _shared[name] = store, clock
        store.shared = True
    return StoreBackend(store, clock)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    return [BackendPlugin("memory", make, "in this process; nothing survives it", in_process=True)]
