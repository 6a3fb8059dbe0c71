"""Wake-ups between the stores of one database: LISTEN and NOTIFY.

Each store has a connection that listens. That connection also holds a lock named after the store's session: when the
lock is free, the process has died or has lost its connection.

Notifications are sent after the commit, on the connection for reading, because commits that notify wait for one
another, including each other's writes to the disk.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import psycopg

from ..database.operations import Operation
from ..database.transaction import EVERYTHING, Touched, Transaction
from ..options import Options
from .driver import Raw, connect
from .transaction import key

LARGEST: Final = 7_900
"""Bytes of a notification, of which PostgreSQL allows less than 8,000."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Touched).decode


class Notifications:
    """See `WakeUps`.

    :ivar post: runs an operation on the connection for reading; set before the first `tell`.
    """

    def __init__(self, options: Options, owner: str) -> None:
        self._options = options
        self._owner = owner
        self._channel = f"saros_{options.schema}"
        self._raw: Raw | None = None
        self._broken: Raw | None = None
        self._lock = threading.Lock()
        self._pending = Touched()
        self.dead: set[str] = set()
        self.post: Callable[[Operation], None] = lambda _: None

    @property
    def socket(self) -> Any:
        return None if self._raw is None else self._raw.fileno()

    def listen(self) -> bool:
        if self._raw is not None:
            return True
        self._drop()
        try:
            self._raw = connect(self._options, self._prepare)
        except psycopg.Error:
            return False
        return True

    def _prepare(self, raw: Raw) -> None:
        raw.execute("SELECT pg_try_advisory_lock(%s)", (key(self._options.schema, "session", self._owner),))
        raw.execute(f"LISTEN {self._channel}")

    # --- tell -------------------------------------------------------------------------------

    def tell(self, touched: Touched) -> None:
        if not touched:
            return
        with self._lock:
            idle = not self._pending
            self._pending.add(touched)
        if idle:
            self.post(Operation(self._send, light=True, bare=True))

    def _send(self, tx: Transaction) -> None:
        with self._lock:
            touched, self._pending = self._pending, Touched()
        text = self._text(touched.cut())
        if len(text) > LARGEST:
            text = self._text(Touched(EVERYTHING, {}, touched.due, True))
        tx.all("SELECT pg_notify(?, ?)", self._channel, text)

    def _text(self, touched: Touched) -> str:
        return f"{self._owner} {base64.b85encode(_encode(touched)).decode()}"

    # --- hear -------------------------------------------------------------------------------

    def read(self) -> Touched:
        heard = Touched()
        raw = self._raw
        if raw is None:
            return heard
        try:
            raw.pgconn.consume_input()
            while (told := raw.pgconn.notifies()) is not None:
                self._add(heard, told.extra.decode())
        except psycopg.Error:
            self._raw, self._broken = None, raw
            heard.unknown = True
        if heard.unknown:
            heard.topics = EVERYTHING
        return heard

    def _add(self, heard: Touched, text: str) -> None:
        owner, _, told = text.partition(" ")
        if owner == self._owner:
            return
        try:
            heard.add(_decode(base64.b85decode(told)))
        except (ValueError, msgspec.MsgspecError):  # of another version: look for everything
            heard.unknown = True

    def forget(self, owner: str) -> None:
        self.dead.discard(owner)

    def _drop(self) -> None:
        if self._broken is not None:
            self._broken.close()
            self._broken = None

    def close(self) -> None:
        self._drop()
        if self._raw is not None:
            self._raw.close()
            self._raw = None
