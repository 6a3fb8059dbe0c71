"""Registers Lua: the kinds of entries, the runtime, the modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import saros
from saros.app.hookspecs import RuntimePlugin

if TYPE_CHECKING:
    import typer

    from saros.entries import Kind, Registry
    from saros.interfaces.module import Module

    from .runtime import LuaRuntime


_ABSENT = {
    "io": "io is not available: do it in an activity (a function.python or function.lua entry)"
    " and call that with funcs.call",
    "debug": "debug is not available: err:stack() returns the stack of an error, and print goes to the log",
    "package": "package is not available: list what you need under modules: or imports: of the entry,"
    " and require it",
}
"""The messages of globals that are not available (lib/core/globals.lua)."""


def _make(registry: Registry, modules: Mapping[str, Module]) -> LuaRuntime:
    from .runtime import LuaRuntime

    return LuaRuntime(registry, modules)


@saros.hookimpl
def saros_kinds() -> Sequence[Kind]:
    from .kinds import LUA_KINDS

    return LUA_KINDS


@saros.hookimpl
def saros_runtimes() -> Sequence[RuntimePlugin]:
    always = ("coroutine", "math", "os", "string", "table", "utf8")
    return [RuntimePlugin("lua", _make, always=always, absent=_ABSENT)]


@saros.hookimpl
def saros_modules() -> Sequence[Module]:
    from .modules import SURFACE

    return SURFACE


@saros.hookimpl
def saros_commands(cli: typer.Typer) -> None:
    from .checking.editor import types

    cli.command(rich_help_panel="Develop", epilog="Example: saros types examples/orders")(types)
