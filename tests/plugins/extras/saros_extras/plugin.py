"""The hooks. Every command of `saros` imports this module: what is heavy is imported where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib import resources
from typing import TYPE_CHECKING, Any

import saros
from saros.app.hookspecs import BackendPlugin, ServicePlugin

if TYPE_CHECKING:
    import typer

    from saros import App
    from saros.entries import Kind
    from saros.interfaces.backend import Backend
    from saros.interfaces.module import Module


@saros.hookimpl
def saros_modules() -> list[Module]:
    from saros.interfaces.module import Module

    from .slug import make

    source = resources.files(__package__).joinpath("slug.lua").read_text("utf-8")
    return [Module(name="slug", source=source, host={"slug_make": make})]


@saros.hookimpl
def saros_kinds() -> list[Kind]:
    from .ready import READY_FILE

    return [READY_FILE]


@saros.hookimpl
def saros_services() -> list[ServicePlugin]:
    return [ServicePlugin("ready", _serve)]


def _serve(app: App) -> AbstractAsyncContextManager[None] | None:
    from .ready import serve

    return serve(app)


@saros.hookimpl
def saros_backends() -> list[BackendPlugin]:
    return [BackendPlugin("dict", _make, "in a dictionary of this process", in_process=True)]


def _make(url: str, options: Mapping[str, Any]) -> Backend:
    from .dictionary import make

    return make(url)


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .command import entries

    cli.command()(entries)
