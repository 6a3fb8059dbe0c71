"""Registers ``sqlite://``: durable workflows in one file.

sqlite:///shop.db?retention=30d
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import saros
from saros.app.hookspecs import BackendPlugin

if TYPE_CHECKING:
    import typer

    from saros.interfaces.backend import Backend


def make(url: str, options: Mapping[str, Any]) -> Backend:
    """A backend for a ``sqlite://`` URL.

    :raises Error: INVALID for options that it does not know.
    """
    from saros.engine import StoreBackend

    from .options import parse
    from .store import SqlStore

    store = SqlStore(parse(url))
    return StoreBackend(store, store.clock)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    return [BackendPlugin("sqlite", make, "durable, in one file, with any number of workers on one machine")]


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .commands import db

    cli.add_typer(db, name="db")
