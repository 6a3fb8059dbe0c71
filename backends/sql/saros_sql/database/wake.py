"""Wake-ups between processes that have the same file open.

Each process has a socket in a folder beside the database. A process that has changed something sends a datagram that
says what to all others. A socket that refuses connections shows that its process has died.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator
from typing import Final

import msgspec

from .transaction import EVERYTHING, Touched

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Touched).decode
LARGEST: Final = 65_536
FULL: Final = 8
"""A socket holds few datagrams (ten on Linux); after this many in one read, others may have been lost."""
LONGEST_PATH: Final = 100
TRIES: Final = 5
_ENDING: Final = ".sock"


class Wakers:
    """The sockets of one database.

    :param folder: the folder with the sockets.
    :param owner: the session of this store; its socket has this name.
    """

    def __init__(self, folder: str, owner: str) -> None:
        self.folder = folder
        self._own = owner + _ENDING
        self._socket: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._lock = threading.Lock()  # of the sender
        self._closed = False
        self.dead: set[str] = set()  # sessions whose processes have died

    @property
    def socket(self) -> socket.socket | None:
        """The socket that this store reads; None if it has none yet or cannot have one."""
        return self._socket

    def listen(self) -> bool:
        """Start to receive wake-ups; return False where that is impossible."""
        for _ in range(TRIES):
            if self._socket is not None:
                break
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.setblocking(False)
            try:
                os.makedirs(self.folder, exist_ok=True)
                with self._short() as folder:
                    made.bind(f"{folder}/{self._own}")
                self._socket = made
            except OSError:  # perhaps another process was the last one and has just removed the folder
                made.close()
        return self._socket is not None

    @contextlib.contextmanager
    def _short(self) -> Iterator[str]:
        """A path of the folder that leaves room for the name of a socket; a long one goes through a descriptor."""
        if len(os.fsencode(self.folder)) + len(self._own) < LONGEST_PATH:
            yield self.folder
            return
        at = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{at}"
        finally:
            os.close(at)

    def tell(self, touched: Touched) -> None:
        """Wake the other processes. Any thread may call this.

        An empty message only checks which processes are alive.
        """
        with self._lock:
            if not self._closed:
                self._tell(touched)

    def _tell(self, touched: Touched) -> None:
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(_ENDING)]
            if names and names != [self._own]:
                message = _encode(touched.cut())
                with self._short() as folder:
                    for name in names:
                        if name != self._own:
                            self._send(folder, name, message)
        except OSError:  # there is no folder: nobody listens
            return

    def _send(self, folder: str, name: str, message: bytes) -> None:
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        try:
            self._sender.sendto(message, f"{folder}/{name}")
        except OSError as exc:
            if exc.errno == errno.ECONNREFUSED:
                self.dead.add(name.removesuffix(_ENDING))
            # A process whose socket is full is awake, and finds what it misses when it next checks.

    def forget(self, owner: str) -> None:
        """Remove the socket of a session that has ended."""
        self.dead.discard(owner)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, owner + _ENDING))

    def read(self) -> Touched:
        """Return what other processes have changed since the last call."""
        heard = Touched()
        if self._socket is None:
            return heard
        count = 0
        while True:
            try:
                message = self._socket.recv(LARGEST)
            except OSError:
                break
            count += 1
            try:
                heard.add(_decode(message))
            except msgspec.MsgspecError:  # of another version: look for everything
                heard.unknown = True
        if count >= FULL:
            heard.unknown = True
        if heard.unknown:
            heard.topics = EVERYTHING
        return heard

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, self._own))
            self._socket.close()
            self._socket = None
        with self._lock:
            self._closed = True
            if self._sender is not None:
                self._sender.close()
                self._sender = None
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # if it was the last one
