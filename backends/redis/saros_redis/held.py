"""The leases that this process holds, and the thread that keeps them.

A thread with a connection of its own renews, for code that blocks the event loop must not lose its lease.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from . import codec
from .client import BUSY, LOST
from .scripts import script

log = logging.getLogger("saros.redis")

CHUNK = 100


class Place(NamedTuple):
    """Where a lease is: an entry of a stream of one partition."""

    partition: int
    stream: str
    entry: str
    until: float  # of time.monotonic(): not renewed after that


class Held:
    """Leases by what proves them: fence, token, or key of an outbox entry."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def add(self, proof: str, place: Place) -> None:
        self._places[proof] = place

    def get(self, proof: str) -> Place | None:
        return self._places.get(proof)

    def drop(self, proof: str) -> Place | None:
        return self._places.pop(proof, None)

    def clear(self) -> None:
        self._places.clear()

    def snapshot(self) -> dict[str, Place]:
        return self._places.copy()


class Renewer:
    """:param client: a blocking redis-py client of its own.
    :param lease: seconds.
    """

    def __init__(self, held: Held, client: Any, tags: Sequence[str], consumer: str, lease: float) -> None:
        self._held = held
        self._client = client
        self._tags = tags
        self._consumer = consumer
        self._pause = lease / 4
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="saros-redis-leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; returns when the thread has ended or is stuck in a call to the server."""
        self._stop.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self._renew()
            except (redis.RedisError, *LOST, *BUSY) as exc:  # the thread must not end
                log.warning("leases could not be renewed: %s", exc)
        self._client.close()

    def _renew(self) -> None:
        now = time.monotonic()
        streams: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for place in self._held.snapshot().values():
            if place.until > now:
                streams[place.partition][place.stream].append(place.entry)
        for partition, entries in streams.items():
            for stream, all_entries in entries.items():
                for at in range(0, len(all_entries), CHUNK):
                    chunk = [[stream, all_entries[at : at + CHUNK]]]
                    self._evaluate(self._tags[partition], [self._consumer, chunk])

    def _evaluate(self, tag: str, args: list[Any]) -> None:
        renew = script("renew")
        blob = codec.pack_args(args)
        try:
            self._client.execute_command("EVALSHA", renew.sha, 1, tag, blob)
        except redis.exceptions.NoScriptError:
            self._client.execute_command("EVAL", renew.text, 1, tag, blob)
