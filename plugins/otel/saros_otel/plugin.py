"""Registers the observer, and the command ``saros trace``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import saros
from saros.app.hookspecs import ObserverPlugin

if TYPE_CHECKING:
    import typer

    from saros.interfaces.backend import Backend
    from saros.interfaces.deployment import Deployment
    from saros.interfaces.observer import Observer


def _make(deployment: Deployment, backend: Backend, works: bool) -> Observer | None:
    from .wanted import wanted

    found = wanted(works)
    if not found:
        return None
    from .observer import make  # the SDK is slow to load

    return make(deployment, backend, found)


@saros.hookimpl
def saros_observers() -> Sequence[ObserverPlugin]:
    return [ObserverPlugin("otel", _make)]


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .command import add_to

    add_to(cli)
