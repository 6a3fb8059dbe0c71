"""The addresses at which the servers of each opened app listen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from saros import App

_addresses: WeakKeyDictionary[App, asyncio.Future[dict[str, str]]] = WeakKeyDictionary()


def _future(app: App) -> asyncio.Future[dict[str, str]]:
    future = _addresses.get(app)
    if future is None:
        future = _addresses[app] = asyncio.get_running_loop().create_future()
    return future


def announce(app: App, addresses: Mapping[str, str]) -> None:
    """Record the addresses of all servers of `app`, once they listen."""
    future = _future(app)
    if not future.done():
        future.set_result(dict(addresses))


def withdraw(app: App) -> None:
    """Record that the servers of `app` have stopped."""
    _addresses.pop(app, None)


async def serving(app: App) -> dict[str, str]:
    """Wait until the servers of an app listen.

    :return: the id of each ``http.service`` -> its URL, such as ``http://127.0.0.1:8080``; its admin address has
        the id with ``#admin`` as key.
    :raises Exception: the error that stopped the app's workers or services before.
    """
    workers = app.start_workers()
    future = _future(app)
    either: set[asyncio.Future[Any]] = {workers, future}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not future.done():
        workers.result()
    return future.result()
