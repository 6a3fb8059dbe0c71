"""Notifications of changes to runs, through publish/subscribe.

Messages may be lost, so a waiter checks the state after it has subscribed, and then from time to time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import redis

from saros.interfaces.history import UNTIL_CLOSED
from saros.model.background import LIMIT_S, Job, Jobs, end_all
from saros.model.execution import RUNNING

from ..server.client import BUSY, LOST
from ..server.connect import disconnect
from ..server.partitions import Partitions

log = logging.getLogger("saros.redis")

LOOK_AGAIN_S = 5.0
LEAVE_S = 0.5


class Subscriptions:
    """:param listener: opens a redis-py client to subscribe with."""

    def __init__(self, partitions: Partitions, listener: Callable[[], Awaitable[Any]]) -> None:
        self._partitions = partitions
        self._listener = listener
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._subscribed: dict[str, asyncio.Future[None]] = {}
        self._pubsub: Any = None
        self._listening: Job[None] | None = None
        self._has_channels = asyncio.Event()
        self._changes: dict[str, set[str]] = {"subscribe": set(), "unsubscribe": set()}
        self._deaf = False  # since the subscription was lost
        self._sending = Jobs()

    async def changed(self, id: str, run_id: str, length: int) -> None:
        """Return once the run has more than `length` records or is closed, or after some seconds."""
        keys = self._partitions.keys
        partition = keys.partition(id)
        channel = keys.event(partition, run_id) if length < UNTIL_CLOSED else keys.end(partition, run_id)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[channel].add(future)
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._subscribe(channel)
                # A long outage of the server ends the wait without an error.
                status, count = await self._partitions.run(
                    "read", partition, ["state", run_id], 2 * LOOK_AGAIN_S
                )
                if status.decode() == RUNNING and int(count) <= length:
                    await future
        except TimeoutError:
            pass
        finally:
            self._leave(channel, future)

    async def _subscribe(self, channel: str) -> None:
        confirmed = self._subscribed.get(channel)
        if confirmed is None:
            confirmed = self._subscribed[channel] = asyncio.get_running_loop().create_future()
            if self._listening is None:
                self._listening = Job(self._listen(), "the subscription")
            self._later("subscribe", channel, 0.0)
        await asyncio.shield(confirmed)

    def _leave(self, channel: str, future: asyncio.Future[None]) -> None:
        waiting = self._waiting[channel]
        waiting.discard(future)
        if not waiting:
            del self._waiting[channel]
            self._subscribed.pop(channel, None)
            self._later("unsubscribe", channel, LEAVE_S)

    def _later(self, verb: str, channel: str, delay: float) -> None:
        """Subscribe soon, together with other channels."""
        self._has_channels.set()
        if not self._changes[verb]:
            asyncio.get_running_loop().call_later(delay, self._tell, verb)
        self._changes[verb].add(channel)

    def _tell(self, verb: str) -> None:
        channels, self._changes[verb] = self._changes[verb], set()
        if verb == "unsubscribe":
            channels = {channel for channel in channels if channel not in self._subscribed}
        if channels and self._pubsub is not None:
            self._sending.start(self._send(verb, channels), f"{verb} of channels")

    async def _send(self, verb: str, channels: Iterable[str]) -> None:
        connection = None if self._pubsub is None else self._pubsub.connection
        if connection is None or not connection.is_connected:
            return  # the listener subscribes to everything when it has connected
        try:
            # Not by the pubsub's methods: after a failure they connect again, as the listener does at the same time.
            # The connection would keep only one of the two sockets.
            await connection.send_command(verb.upper(), *channels)
        except (*LOST, *BUSY):
            log.debug("subscriptions are made again after the reconnect")

    async def _listen(self) -> None:
        """Keep a connection that is subscribed to all channels with waiters."""
        while True:
            try:
                client = await self._listener()
                pubsub = client.pubsub()
                try:
                    await self._hear(pubsub)
                finally:
                    self._pubsub = None
                    await self._sending.end()  # it must not be used while it closes
                    await disconnect(client, pubsub)
            except (*LOST, *BUSY, redis.RedisError) as exc:
                log.info("the subscription was lost: %s", exc)
                self._deaf = True
            except Exception:  # without it, waiters would only poll the state
                log.exception("the subscription was lost")
                self._deaf = True
            for confirmed in self._subscribed.values():
                if not confirmed.done():
                    confirmed.set_result(None)  # its waiter checks the state, and again later
            await asyncio.sleep(0.2)

    async def _hear(self, source: Any) -> None:
        channels = list(self._subscribed)
        if not channels:
            await self._has_channels.wait()
            channels = list(self._subscribed)
        await source.subscribe(*channels)
        self._pubsub = source
        late = [channel for channel in self._subscribed if channel not in channels]
        if late:
            await source.subscribe(*late)
        if self._deaf:  # changes in the meantime were not announced
            self._deaf = False
            for channel in list(self._waiting):
                self._heard("message", channel)
        while True:
            message = await source.get_message(timeout=None)
            if message is None:
                continue
            self._heard(message["type"], message["channel"].decode())

    def _heard(self, kind: str, channel: str) -> None:
        if kind == "subscribe":
            confirmed = self._subscribed.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
        elif kind == "message":
            for future in self._waiting.get(channel, ()):
                if not future.done():
                    future.set_result(None)

    async def close(self) -> None:
        listening = [self._listening] if self._listening is not None else []
        await end_all([*self._sending, *listening], LIMIT_S, at_once=True)
