"""The hooks that a plugin may implement, with `saros.hookimpl`.

A plugin is a module (or object) that an entry point of group ``saros`` names. Keep it light: import heavy
libraries in the factories that its hooks return, for every command of `saros` loads every plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from ..entries import Kind
    from ..interfaces.module import Module
    from .plugins import BackendPlugin, RuntimePlugin, ServicePlugin

hookspec = pluggy.HookspecMarker("saros")
hookimpl = pluggy.HookimplMarker("saros")


@hookspec
def saros_backends() -> Sequence[BackendPlugin]:  # type: ignore[empty-body]
    """Backends, by URL scheme."""


@hookspec
def saros_kinds() -> Sequence[Kind]:  # type: ignore[empty-body]
    """Kinds of entries."""


@hookspec
def saros_runtimes() -> Sequence[RuntimePlugin]:  # type: ignore[empty-body]
    """Runtimes: what runs the code of entries."""


@hookspec
def saros_modules() -> Sequence[Module]:  # type: ignore[empty-body]
    """Modules that the code of entries may require."""


@hookspec
def saros_services() -> Sequence[ServicePlugin]:  # type: ignore[empty-body]
    """What runs beside the workers while an app is served, such as an HTTP server."""


@hookspec
def saros_commands(cli: typer.Typer) -> None:
    """Add commands to the command line."""
