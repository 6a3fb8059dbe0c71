"""Connections: one kind for commands, which answer at once, and one for blocking reads.

redis-py is configured never to repeat a command by itself. This module decides about repetitions, and only for
scripts, each of which carries an id that makes a repetition harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Sequence
from typing import Any

import anyio
import redis

from saros.model.background import Jobs

from .. import codec, errors
from ..keys import mark_key
from ..options import Options
from .connect import connect, connect_listener, connect_thread, disconnect
from .scripts import Script, script
from .sentinel import Follower

log = logging.getLogger("saros.redis")

TIMEOUT_S = 10.0
"""The timeout, in seconds, for one reply to a command."""
QUICK_S = 1.0
"""A caller with at most this patience, in seconds, such as a stopping worker, waits no longer for a reply."""
REPLICAS_MS = 1_000
"""The time that replicas get to confirm a write."""
FSYNC_MS = 3_000
"""The time that disks get to confirm a write; with appendfsync everysec, the next sync is up to a second away."""
BLOCK_MS = 2_000
"""The timeout of a blocking read; repeating it detects a dead peer, which sends nothing."""
BACKOFF_S = 0.05
BACKOFF_MAX_S = 1.0

LOST = (redis.ConnectionError, redis.TimeoutError, OSError, TimeoutError)
BUSY = (
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.RedisClusterException,  # no node answers, or slots are not covered; it is not a RedisError
)

WRITES = "notes"
"""A script that always writes. While writes are refused, scripts that happen to write nothing succeed."""

Pending = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


class Client:
    """:ivar lost: set when replies may have been lost."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lost = asyncio.Event()
        self._commands = connect(options)
        self._follower = Follower(self._commands, options.sentinel) if options.sentinel else None
        self._blocking: list[Any] = []
        self._queue: list[Pending] = []
        self._sending = Jobs()
        self._away = (
            0.0  # since when the server does not answer or takes no writes, of time.monotonic(); or 0
        )
        self._refusing = False  # whether it answers, but refuses writes
        self._back = 0.0  # when it answered again, the last time
        self._outage = 0.0  # for how long it was unavailable, the last time

    # --- scripts ----------------------------------------------------------------------------

    async def run(
        self, name: str, tag: str, args: Sequence[Any], patience: float = 3.0, known: int = -1
    ) -> Any:
        """Run a script, and retry while the server is unavailable, for at most `patience` seconds.

        :param known: the steady time (see scripts/common/base.lua).
        :raises Error: UNAVAILABLE.
        """
        return await self._patiently(name, (tag, codec.pack_args(args), known), patience)

    async def _patiently(self, name: str, args: tuple[Any, ...], patience: float) -> Any:
        found = script(name)
        start, pause = time.monotonic(), BACKOFF_S
        while True:
            try:
                reply = await self._evaluate(found, args, patience if patience <= QUICK_S else TIMEOUT_S)
                self._answered(name)
                return reply
            except (*LOST, *BUSY) as exc:
                self.lost.set()
                self._fails(refuses=isinstance(exc, redis.exceptions.ReadOnlyError))
                if time.monotonic() - start + pause > patience:
                    raise errors.unavailable(self.options, exc) from exc
            except redis.ResponseError as exc:
                if errors.is_full(exc) or not errors.is_away(exc):
                    raise errors.answered(self.options, exc) from exc
                self._fails(refuses=True)
                if time.monotonic() - start + pause > patience:
                    raise errors.answered(self.options, exc) from exc
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, BACKOFF_MAX_S)

    def _fails(self, refuses: bool) -> None:
        self._away = self._away or time.monotonic()
        self._refusing = self._refusing or refuses

    def _answered(self, name: str) -> None:
        if self._refusing and name == WRITES:
            self._refusing = False
        if self._away and not self._refusing:
            self._back = time.monotonic()
            self._outage, self._away = self._back - self._away, 0.0

    def forgiven(self, grace: float) -> float:
        """Return the duration of the last outage, in which no lease could be renewed; 0 if it ended `grace` s ago."""
        return self._outage if time.monotonic() - self._back < grace else 0.0

    async def _evaluate(self, found: Script, args: tuple[Any, ...], limit_s: float) -> Any:
        with anyio.fail_after(limit_s):
            try:
                return await self._execute("EVALSHA", found.sha, 1, *args)
            except redis.exceptions.NoScriptError:
                return await self._execute("EVAL", found.text, 1, *args)

    async def command(self, *args: Any, patience: float = 3.0) -> Any:
        """Run a command that only reads, or that may be repeated.

        :raises Error: UNAVAILABLE.
        """
        start, pause = time.monotonic(), BACKOFF_S
        while True:
            try:
                with anyio.fail_after(TIMEOUT_S):
                    return await self._execute(*args)
            except (*LOST, *BUSY) as exc:
                if time.monotonic() - start + pause > patience:
                    raise errors.unavailable(self.options, exc) from exc
            except redis.ResponseError as exc:
                if not errors.is_away(exc) or time.monotonic() - start + pause > patience:
                    raise errors.answered(self.options, exc) from exc
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_MAX_S)

    # --- together ---------------------------------------------------------------------------

    def _execute(self, *args: Any) -> Awaitable[Any]:
        """Send a command with all others of this turn of the event loop, in one pipeline."""
        if self.options.cluster:
            reply: Awaitable[Any] = self._commands.execute_command(*args)
            return reply
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if not self._queue:
            asyncio.get_running_loop().call_soon(self._flush)
        self._queue.append((args, future))
        return future

    def _flush(self) -> None:
        batch, self._queue = self._queue, []
        batch = [(args, future) for args, future in batch if not future.done()]
        if batch:
            self._sending.start(self._send(batch), "commands to Redis")

    async def _send(self, batch: Sequence[Pending]) -> None:
        try:
            with anyio.fail_after(TIMEOUT_S):
                replies = await self._send_all([args for args, _future in batch])
        except BaseException as exc:  # passed on to the waiting callers
            failure = redis.ConnectionError("closed") if isinstance(exc, asyncio.CancelledError) else exc
            replies = [failure] * len(batch)
        for (_args, future), reply in zip(batch, replies, strict=True):
            if future.done():
                continue
            if isinstance(reply, BaseException):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    async def _send_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        if len(commands) == 1 and not (self.options.wait or self.options.fsync):
            return [await self._commands.execute_command(*commands[0])]
        pipeline = self._commands.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        waits = self._waits()
        for command in waits:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        if waits:
            self._check_waits(replies[-len(waits) :])
            del replies[-len(waits) :]
        return replies

    def _waits(self) -> list[tuple[Any, ...]]:
        """Return commands that wait until all earlier writes are as durable as `options` demands.

        The server waits for the last write of the same connection. A script that only reads, or that repeats one from
        another connection, writes nothing here, so these commands include a write.
        """
        options = self.options
        if options.fsync:
            wait: tuple[Any, ...] = ("WAITAOF", 1, options.wait, FSYNC_MS)
        elif options.wait:
            wait = ("WAIT", options.wait, REPLICAS_MS)
        else:
            return []
        return [("SET", mark_key(options.prefix), ""), wait]

    def _check_waits(self, replies: Sequence[Any]) -> None:
        """Raise if too few replicas have the writes; the caller then repeats them, which is harmless."""
        for reply in replies:
            if isinstance(reply, BaseException):
                if "UNBLOCKED" in str(reply):  # the server became a replica meanwhile
                    raise redis.ConnectionError(str(reply)) from reply
                raise reply
        synced, replicas = replies[1] if self.options.fsync else (1, replies[1])
        if not int(synced):
            raise redis.ConnectionError("the last write is not on the server's disk")
        if int(replicas) < self.options.wait:
            what = "the last write on disk" if self.options.fsync else "the last write"
            raise redis.ConnectionError(f"{replicas} of {self.options.wait} replicas have {what}")

    # --- blocking reads ---------------------------------------------------------------------

    @property
    def commands(self) -> Any:
        """Return the redis-py client for commands."""
        return self._commands

    def reader(self) -> Any:
        """Return a redis-py client for blocking reads; for a cluster it opens connections as it needs them."""
        if self.options.cluster:
            return self._commands
        client = connect(self.options, 1)
        self._blocking.append(client)
        return self._following(client)

    async def listener(self) -> Any:
        """Return a redis-py client for subscriptions; the caller closes it."""
        return self._following(await connect_listener(self.options, self._commands))

    def threaded(self) -> Any:
        """Return a blocking redis-py client for a thread; the thread closes it."""
        return self._following(connect_thread(self.options))

    def _following(self, client: Any) -> Any:
        if self._follower is not None:
            self._follower.start()
            self._follower.add(client)
        return client

    async def quiet(self, seconds: float) -> None:
        """Return when every command that was sent has its reply, or after the given seconds."""
        await self._sending.wait(seconds)

    async def close(self) -> None:
        """Close all connections, even if the caller is cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            for client in (self._commands, *self._blocking):
                stack.push_async_callback(disconnect, client)
            stack.push_async_callback(self._sending.end)
            if self._follower is not None:
                stack.push_async_callback(self._follower.close)
