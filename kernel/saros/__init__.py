"""Saros: durable workflows in Lua, in memory, on Redis Streams or on Temporal.

async with saros.open("examples/orders") as app:
    order = await app.start("app:order_workflow", {"id": "123"}, id="order-123")
    print(await order.result())
"""

from . import activity, errors
from .app import App, Handle
from .app import open_app as open
from .errors import CodeError, Error, NonDeterminism
from .hookspecs import hookimpl

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
