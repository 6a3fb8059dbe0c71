"""The link of a store to its database: two connections with their threads, a session and wake-ups."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from anyio import CancelScope

from saros.model.errors import Error
from saros.model.timing import SECOND

from .database.boot import SteadyClock, boot_id
from .database.connection import Connection
from .database.opening import connect
from .database.thread import DatabaseThread
from .database.transaction import Touched, Transaction
from .database.wake import Wakers
from .options import Options
from .parts import sessions
from .waiting import Waiting

T = TypeVar("T")
POLL_S: Final = 0.05
"""How often to check for changes by other processes where wake-ups are impossible."""


class Link:
    """:ivar nodes: the nodes of this process."""

    def __init__(self, options: Options, owner: str) -> None:
        self.options = options
        self.owner = owner
        self.waiting = Waiting()
        self.wakers = Wakers(f"{options.path}-wake", owner)
        self.nodes: set[str] = set()
        self.clock = SteadyClock()
        self._joining: asyncio.Lock | None = None
        self._joined = False
        self._loop: asyncio.AbstractEventLoop | None = None

        def opened(reads: bool) -> Connection:
            return connect(options, owner, self.clock, reads=reads)

        self._writer = DatabaseThread("saros-sql-writer", partial(opened, False), self._told, self._heard)
        self._reader = DatabaseThread("saros-sql-reader", partial(opened, True), self._told, self._heard)
        self._reader.pause = 3_600.0

    async def open(self) -> None:
        """:raises Error: if the database cannot be opened."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._writer.open()
            await self._reader.open()
        except BaseException:  # whoever is refused, or gives up, has nothing to close
            with CancelScope(shield=True):
                await self.close()
            raise

    async def write(
        self,
        call: Callable[[Transaction], T],
        *,
        full: bool = False,
        undo: Callable[[Transaction, T], None] | None = None,
    ) -> T:
        """See `DatabaseThread.run`."""
        return await self._writer.run(call, full=full, undo=undo)

    async def find(
        self,
        topic: int,
        call: Callable[[Transaction], list[T]],
        undo: Callable[[Transaction, list[T]], None] | None = None,
    ) -> list[T]:
        """Return the result of an operation as soon as it finds something of a topic."""
        await self.join()
        return await self._writer.run(call, undo=undo, topic=topic)

    async def read(self, call: Callable[[Transaction], T]) -> T:
        return await self._reader.run(call)

    # --- wake-ups ---------------------------------------------------------------------------

    def listen(self) -> None:
        """Start to receive wake-ups from other processes."""
        if self.wakers.socket is None:
            if self.wakers.listen() and self._loop is not None and self.wakers.socket is not None:
                self._loop.add_reader(self.wakers.socket, self._read_socket)
            else:
                self._writer.pause = POLL_S

    def _read_socket(self) -> None:
        self._wake(self.wakers.read())

    def _wake(self, touched: Touched) -> None:
        """Have the waiters of this process check again for changes by other processes."""
        if touched.topics:
            self._writer.look(touched.topics)
        self.waiting.heard(touched)

    def _told(self, touched: Touched) -> None:
        """Pass on what this store has changed; called by its threads."""
        self.wakers.tell(touched)
        self._call(self.waiting.heard, touched)

    def _heard(self, touched: Touched) -> None:
        """Pass on what other processes have changed; called by this store's threads."""
        self._call(self._wake, touched)

    def _call(self, call: Callable[[Touched], None], touched: Touched) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(call, touched)

    # --- the session ------------------------------------------------------------------------

    async def join(self) -> None:
        """Begin this store's session, if it has none. A session is what owns leases."""
        if self._joined:
            return
        self._joining = self._joining or asyncio.Lock()
        async with self._joining:
            if not self._joined:
                self.listen()
                await self.write(self._renew)
                self._writer.beat = self.options.lease / SECOND / 4, self._renew
                self._joined = True

    def _renew(self, tx: Transaction) -> None:
        if not sessions.renew(tx, self.options.lease, boot_id()):
            for node in self.nodes:
                sessions.join_node(tx, node)
        self.clock.save(tx)

    def look(self) -> None:
        """Check which other processes are alive."""
        self.wakers.tell(Touched())

    async def close(self) -> None:
        if self._joined:
            self._writer.beat = None
            await self._leave()
        if self.wakers.socket is not None and self._loop is not None:
            self._loop.remove_reader(self.wakers.socket)
        await self._writer.close()
        await self._reader.close()
        self.wakers.close()

    async def _leave(self) -> None:
        """Give back what this session has leased."""
        with contextlib.suppress(Error):  # otherwise its leases expire
            await self.write(lambda tx: sessions.end(tx, [self.owner], 0, orderly=True))
