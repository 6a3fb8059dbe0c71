"""The leases that this process holds, and the thread that keeps them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from .beat import Beat
from .options import Options

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


class Renewer(Beat):
    """Keeps the leases. For the parameters see `Beat`."""

    def __init__(self, held: Held, client: Any, tags: Sequence[str], consumer: str, options: Options) -> None:
        super().__init__("saros-redis-leases", "leases", client, options)
        self._held = held
        self._tags = tags
        self._consumer = consumer

    def renew(self) -> None:
        now = time.monotonic()
        streams: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for place in self._held.snapshot().values():
            if place.until > now:
                streams[place.partition][place.stream].append(place.entry)
        for partition, entries in streams.items():
            for stream, all_entries in entries.items():
                for at in range(0, len(all_entries), CHUNK):
                    chunk = [[stream, all_entries[at : at + CHUNK]]]
                    self.evaluate("renew", self._tags[partition], [self._consumer, chunk])
