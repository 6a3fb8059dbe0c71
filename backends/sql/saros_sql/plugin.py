"""Registers ``sqlite://`` and ``postgresql://``: durable workflows in one file, or in a database on a server.

sqlite:///shop.db?retention=30d
postgresql://shop@db.example.com/shop?schema=saros
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


def make_postgres(url: str, options: Mapping[str, Any]) -> Backend:
    """A backend for a ``postgresql://`` or ``postgres://`` URL; see `make`."""
    return make(url, options)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    on_server = "durable, in a PostgreSQL database, with any number of workers on any number of machines"
    return [
        BackendPlugin("sqlite", make, "durable, in one file, with any number of workers on one machine"),
        BackendPlugin("postgresql", make_postgres, on_server),
        BackendPlugin("postgres", make_postgres, on_server),
    ]


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .commands import db

    cli.add_typer(db, name="db")
