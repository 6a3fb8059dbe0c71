"""What a plugin supplies to the code of entries: modules that ``require`` finds, and their host side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

HostFunction = Callable[..., Any]
"""Called by a module in the middle of a run; must be quick and pure (in workflows also deterministic).

It takes and returns ``bytes``, ``int``, ``float``, ``bool`` or ``None`` (or a tuple of them, for several
results), and raises `saros.Error` for errors that the module returns as ``nil, err``.
"""

Service = Callable[[str, list[Any]], Awaitable[Any]]
"""``service(pid of the caller, arguments) -> value``: I/O on behalf of a function or process.

Code reaches it with a call command whose target is ``@`` and the service's name. It never runs for a
workflow: I/O of workflows belongs in activities.
"""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module of the surface.

    :param name: the name for ``require``.
    :param source: code of the module, in the runtime's language.
    :param runtime: the runtime that runs the code.
    :param workflows: whether workflow code may require it; its result must then be deterministic.
    :param functions: whether functions and processes may require it.
    :param instead: what to use instead where the module may not be used (shown in the error).
    :param host: name -> function, reached from the module as ``rt.host("name", ...)``.
    :param services: name -> service, reached as a call to ``@name``.
    :param parts: name -> source that the module loads on demand with ``rt.library("name")``.
    :param types: definitions for editors, in the notation of the Lua language server (see `saros types`).
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
