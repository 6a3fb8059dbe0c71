"""Saros: durable workflows in Lua, in memory, on Redis Streams or on Temporal.

async with saros.open("examples/orders") as app:
    order = await app.start("app:order_workflow", {"id": "123"}, id="order-123")
    print(await order.result())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .app.hookspecs import hookimpl

if TYPE_CHECKING:
    from . import activity
    from .app.app import App
    from .app.description import Description
    from .app.handle import Handle
    from .app.opening import open_app as open
    from .entries import AppError
    from .model import errors
    from .model.errors import CodeError, Error, NonDeterminism
    from .model.presentation import Line

__version__ = "0.1.0.dev0"

__all__ = [
    "App",
    "AppError",
    "CodeError",
    "Description",
    "Error",
    "Handle",
    "Line",
    "NonDeterminism",
    "activity",
    "errors",
    "hookimpl",
    "open",
]

_FOUND_IN = {
    "App": "app.app:App",
    "AppError": "entries:AppError",
    "Description": "app.description:Description",
    "Handle": "app.handle:Handle",
    "Line": "model.presentation:Line",
    "open": "app.opening:open_app",
    "CodeError": "model.errors:CodeError",
    "Error": "model.errors:Error",
    "NonDeterminism": "model.errors:NonDeterminism",
    "activity": "activity:",
    "errors": "model.errors:",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: plugins and the command line need little of this package."""
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'saros' has no attribute {name!r}")
    module_name, _, attribute = _FOUND_IN[name].partition(":")
    module = import_module(f".{module_name}", __name__)
    found = globals()[name] = getattr(module, attribute) if attribute else module
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})
