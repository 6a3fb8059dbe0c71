"""Registers the command `saros console`, and the console beside the workers of `saros run --console`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

import saros
from saros.app.hookspecs import ServicePlugin

if TYPE_CHECKING:
    import typer

    from saros import App

ADDRESS: Final = "SAROS_CONSOLE"
"""The environment variable with the ``HOST:PORT`` of the console that runs beside workers."""


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .command import add_to

    add_to(cli)


def _serve(app: App) -> AbstractAsyncContextManager[None] | None:
    address = os.environ.get(ADDRESS)
    if not address:
        return None
    from .server import beside

    return beside(app, address)


@saros.hookimpl
def saros_services() -> Sequence[ServicePlugin]:
    return [ServicePlugin("console", _serve)]
