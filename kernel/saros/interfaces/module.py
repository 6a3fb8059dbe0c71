"""What a plugin supplies to the code of entries: modules that ``require`` finds, and their host side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

HostFunction = Callable[..., Any]
"""Called by a module in the middle of a run; must be quick and pure (in workflows also deterministic).

It gets and returns ``bytes``, ``int``, ``float``, ``bool`` or ``None`` (or a tuple of them, for several
results), and raises `saros.Error` for what the module gives back as ``nil, err``.
"""

Service = Callable[[str, list[Any]], Awaitable[Any]]
"""``service(pid of the caller, arguments) -> value``: I/O on behalf of a function or process.

Code reaches it with a call command whose target is ``@`` and the service's name. It never runs for a
workflow, whose I/O belongs into activities.
"""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module of the surface.

    :param name: what ``require`` says.
    :param source: code of the module in the runtime's language.
    :param runtime: the runtime whose language that is.
    :param workflows: whether workflow code may require it; its result must then be deterministic.
    :param functions: whether functions and processes may require it.
    :param instead: for what it may not be used in, what to use instead (shown in the error).
    :param host: name -> function, reached from the module as ``rt.host("name", ...)``.
    :param services: name -> service, reached as a call to ``@name``.
    :param parts: name -> source of what the module loads when it needs it, as ``rt.library("name")``.
    :param types: its definitions for editors, in the notation of the Lua language server (see `saros types`).
    """

    name: str
    source: str
    runtime: str = "lua"
    workflows: bool = True
    functions: bool = True
    instead: str = ""
    host: Mapping[str, HostFunction] = {}
    services: Mapping[str, Service] = {}
    parts: Mapping[str, str] = {}
    types: str = ""
