"""The leases of this process, and the threads that renew them.

Each thread has its own connection, so code that blocks the event loop does not lose a lease.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import redis

from saros.interfaces.signals import Outgoing
from saros.model.errors import Error

from .. import codec, errors
from ..options import Options
from ..server.client import BUSY, LOST
from ..server.scripts import script

log = logging.getLogger("saros.redis")

CHUNK: Final = 100
"""The number of leases that one script renews."""


class Place(NamedTuple):
    """The place of a lease: an entry in a stream of one partition."""

    partition: int
    stream: str
    entry: str
    until: float  # by time.monotonic(); the lease is not renewed after that


class Leases:
    """The leases of this process, by their proof: a fence, a token, or `proof_of` an outbox entry."""

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


def proof_of(entry: Outgoing) -> str:
    """Return the proof of the lease of an outbox entry."""
    return f"{entry.op} {entry.key}"


class RenewalThread(abc.ABC):
    """A thread that renews something four times per lease.

    :param name: of the thread.
    :param what: the thing that is renewed, for the log.
    :param client: a blocking redis-py client of its own.
    """

    def __init__(self, name: str, what: str, client: Any, options: Options) -> None:
        self._what = what
        self._client = client
        self._options = options
        self._pause = options.lease / 4
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Stop renewing, even if the caller is cancelled. The thread closes its client.

        Returns when the thread has ended or is stuck in a call to the server.
        """
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 1.0)

    @abc.abstractmethod
    def renew(self) -> None:
        """Renew once."""

    def evaluate(self, name: str, tag: str, args: list[Any]) -> Any:
        """Run a script, even if the server no longer has it cached."""
        found, blob = script(name), codec.pack_args(args)
        try:
            return self._client.execute_command("EVALSHA", found.sha, 1, tag, blob)
        except redis.exceptions.NoScriptError:
            return self._client.execute_command("EVAL", found.text, 1, tag, blob)

    def _run(self) -> None:
        with contextlib.closing(self._client):
            while not self._stop.wait(self._pause):
                try:
                    self.renew()
                except (redis.RedisError, *LOST, *BUSY) as exc:  # the thread must not end
                    log.warning("%s could not be renewed: %s", self._what, self._told(exc))

    def _told(self, exc: Exception) -> Error:
        if isinstance(exc, (*LOST, *BUSY)) or not isinstance(exc, redis.RedisError):
            return errors.unavailable(self._options, exc)
        return errors.answered(self._options, exc)


class Renewer(RenewalThread):
    """Renews `Leases`. For the other parameters see `RenewalThread`."""

    def __init__(
        self, leases: Leases, client: Any, tags: Sequence[str], consumer: str, options: Options
    ) -> None:
        super().__init__("saros-redis-leases", "leases", client, options)
        self._leases = leases
        self._tags = tags
        self._consumer = consumer

    def renew(self) -> None:
        now = time.monotonic()
        streams: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for place in self._leases.snapshot().values():
            if place.until > now:
                streams[place.partition][place.stream].append(place.entry)
        for partition, entries in streams.items():
            for stream, all_entries in entries.items():
                for at in range(0, len(all_entries), CHUNK):
                    chunk = [[stream, all_entries[at : at + CHUNK]]]
                    self.evaluate("renew", self._tags[partition], [self._consumer, chunk])
