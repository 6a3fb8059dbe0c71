"""The order of messages that several workers deliver."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ..model.records import Message, pack
from ..model.values import Json

PATIENCE_S: Final = 60.0
"""A message waits so long for the one before it: the worker that has that may have died, and another delivers it."""
KEYS: Final = 10_000


class InOrder:
    """Delivers each message after the one that it names as the one before it, and no message twice in a row."""

    def __init__(self, deliver: Callable[[Json], None]) -> None:
        self._deliver = deliver
        self._last: OrderedDict[str, None] = OrderedDict()  # keys of what nothing has followed yet
        self._early: dict[str, tuple[Message, asyncio.TimerHandle]] = {}  # by the key of what they wait for

    def take(self, message: Message) -> None:
        if message.key in self._last or message.after in self._early:
            return  # it came before
        if message.after and message.after not in self._last:
            timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._give_up, message.after)
            self._early[message.after] = message, timer
        else:
            self._release(message)

    def _release(self, message: Message) -> None:
        self._last.pop(message.after, None)
        self._last[message.key] = None
        if len(self._last) > KEYS:
            self._last.popitem(last=False)
        self._deliver(pack(Message(message.topic, message.sender, message.payloads)))
        following = self._early.pop(message.key, None)
        if following is not None:
            following[1].cancel()
            self._release(following[0])

    def _give_up(self, key: str) -> None:
        self._release(self._early.pop(key)[0])

    def close(self) -> None:
        for _, timer in self._early.values():
            timer.cancel()
        self._early.clear()
