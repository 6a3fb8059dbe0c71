"""Saros: durable workflows in Lua, in memory, on Redis Streams or on Temporal.

async with saros.open("examples/orders") as app:
    order = await app.start("app:order_workflow", {"id": "123"}, id="order-123")
    print(await order.result())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .hookspecs import hookimpl

if TYPE_CHECKING:
    from . import activity, errors
    from .app import App, Handle
    from .app import open_app as open
    from .errors import CodeError, Error, NonDeterminism

__version__ = "0.1.0.dev0"

__all__ = [
    "App",
    "CodeError",
    "Error",
    "Handle",
    "NonDeterminism",
    "activity",
    "errors",
    "hookimpl",
    "open",
]

_FOUND_IN = {
    "App": "app:App",
    "Handle": "app:Handle",
    "open": "app:open_app",
    "CodeError": "errors:CodeError",
    "Error": "errors:Error",
    "NonDeterminism": "errors:NonDeterminism",
    "activity": "activity:",
    "errors": "errors:",
}


def __getattr__(name: str) -> Any:
    """Import what is used, when it is used: plugins and the command line need little of this package."""
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'saros' has no attribute {name!r}")
    module_name, _, attribute = _FOUND_IN[name].partition(":")
    module = import_module(f".{module_name}", __name__)
    found = globals()[name] = getattr(module, attribute) if attribute else module
    return found
