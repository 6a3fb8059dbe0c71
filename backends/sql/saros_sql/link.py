"""The link of a store to its database: two connections with their threads, a session and wake-ups."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CancelScope

from saros.model.errors import UNAVAILABLE, Error
from saros.model.timing import SECOND

from .database.operations import look
from .database.thread import DatabaseThread
from .database.transaction import EVERYTHING, Touched, Transaction
from .dialects import dialect
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
        self.dialect = dialect(options, owner)
        self.wakers = self.dialect.wakers
        self.clock = self.dialect.clock
        self.nodes: set[str] = set()
        self._joining: asyncio.Lock | None = None
        self._joined = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listens = False
        self._watched: Any = None  # the socket that the event loop watches
        connect = self.dialect.connect
        calls = self.wakers.tell, self.waiting.heard, self._heard
        self._writer = DatabaseThread("saros-sql-writer", partial(connect, False), *calls)
        self._reader = DatabaseThread("saros-sql-reader", partial(connect, True), *calls)
        self._reader.pause = 3_600.0
        self.dialect.tell_by(self._reader.post)
        self._writer.looked = self._mend

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
        ids: tuple[str, ...] = (),
        light: bool = False,
    ) -> T:
        """See `DatabaseThread.run`."""
        return await self._writer.run(call, full=full, undo=undo, ids=ids, light=light)

    async def find(
        self,
        topic: int,
        call: Callable[[Transaction], list[T]],
        undo: Callable[[Transaction, list[T]], None] | None = None,
    ) -> list[T]:
        """Return the result of an operation as soon as it finds something of a topic."""
        await self.join()
        return await self._writer.run(call, undo=undo, topic=topic)

    async def read(self, call: Callable[[Transaction], T], *, bare: bool = False) -> T:
        return await self._reader.run(call, bare=bare)

    # --- wake-ups ---------------------------------------------------------------------------

    async def listen(self) -> None:
        """Be woken by other processes from now on."""
        if not self._listens:
            self._joining = self._joining or asyncio.Lock()
            async with self._joining:
                await self._listen()

    async def _listen(self) -> None:
        if self._listens:
            return
        if await asyncio.to_thread(self.wakers.listen):
            self._watch()
        elif self.dialect.polls:
            self._writer.pause = POLL_S
        else:
            raise Error(f"{self.options.url}: there is no connection to listen to others", UNAVAILABLE)
        self._listens = True

    def _watch(self) -> None:
        """Have the event loop watch the socket."""
        socket = self.wakers.socket
        if socket is not None and self._watched is None and self._loop is not None:
            self._watched = socket
            self._loop.add_reader(socket, self._read_socket)

    def _mend(self) -> None:
        """Listen again, when the connection for that was lost; called by the writer's thread."""
        if self._listens and not self.dialect.polls and self.wakers.socket is None and self.wakers.listen():
            self._call(lambda _: self._watch(), Touched())
            self._heard(Touched(EVERYTHING, {}, 0, True))

    def _unwatch(self) -> None:
        if self._watched is not None and self._loop is not None:
            self._loop.remove_reader(self._watched)
            self._watched = None

    def _read_socket(self) -> None:
        heard = self.wakers.read()
        if self.wakers.socket is None:
            self._unwatch()
        self._wake(heard)

    def _wake(self, touched: Touched) -> None:
        """Have the waiters of this process check again for changes by other processes."""
        if touched.topics:
            self._writer.post(look(touched.topics))
        self.waiting.heard(touched)

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
                await self._listen()
                await self.write(self._renew)
                self._writer.beat = self.options.lease / SECOND / 4, self._renew
                self._joined = True

    def _renew(self, tx: Transaction) -> None:
        if not sessions.renew(tx, self.options.lease, self.dialect.boot):
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
        self._unwatch()
        await self._writer.close()
        await self._reader.close()
        self.wakers.close()

    async def _leave(self) -> None:
        """Give back what this session has leased."""
        with contextlib.suppress(Error):  # otherwise its leases expire
            await self.write(lambda tx: sessions.end(tx, [self.owner], 0, orderly=True))
