"""The kinds of entries that are written in Lua, and the variables that the module env reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from saros.entries import (
    ACTIVITY_META,
    POOL,
    WORKFLOW_META,
    Data,
    Entry,
    Flag,
    Ignored,
    Kind,
    ListOf,
    MapOf,
    Problem,
    Reference,
    Registry,
    Source,
    Text,
)

_SOURCE: Final = Source(required=True, doc="The Lua file, relative to this one.")
_METHOD: Final = Text(
    pattern=r"\S+",
    form="a name",
    doc="The function to run in the table that the source returns; absent: the source returns the function.",
)
_MODULES: Final = ListOf(Text(required=True), doc="The modules that the code may require.")
_IMPORTS: Final = MapOf(
    Reference(runtimes=("lua",)), doc="Alias, as in require(alias), and the entry that it loads."
)

_CODE: Final = {"source": _SOURCE, "modules": _MODULES, "imports": _IMPORTS}

WORKFLOW: Final = Kind(
    "workflow.lua",
    role="workflow",
    runtime="lua",
    doc="A durable workflow.",
    fields={**_CODE, "method": _METHOD, "meta": WORKFLOW_META},
)

FUNCTION: Final = Kind(
    "function.lua",
    role="function",
    runtime="lua",
    doc="A function; when a workflow calls it, it runs as an activity.",
    fields={**_CODE, "method": _METHOD, "pool": POOL, "meta": ACTIVITY_META},
)

PROCESS: Final = Kind(
    "process.lua",
    role="process",
    runtime="lua",
    doc="A long-lived actor with an inbox; may also be an activity.",
    fields={**_CODE, "method": _METHOD, "pool": POOL, "meta": ACTIVITY_META},
)

LIBRARY: Final = Kind(
    "library.lua",
    role="library",
    runtime="lua",
    doc="Code that other entries import.",
    fields=dict(_CODE),
)


def _check_variable(entry: Entry, registry: Registry) -> Iterator[Problem]:
    if not isinstance(entry.get("default"), str | int | float | None):
        yield entry.problem("`default` must be a string or a number", "default")


ENV_VARIABLE: Final = Kind(
    "env.variable",
    role="config",
    doc="A variable of the environment, for the module env.",
    check=_check_variable,
    fields={
        "variable": Text(
            pattern=r"[^=\s]+", form="the name of a variable", doc="In the environment; default: the name."
        ),
        "default": Data(doc="The value if the environment does not have it."),
        "read_only": Flag(default=True, doc="Variables are always read-only."),
        "storage": Ignored(Text(), "variables come from the process environment"),
    },
)

LUA_KINDS: Final[tuple[Kind, ...]] = (WORKFLOW, FUNCTION, PROCESS, LIBRARY, ENV_VARIABLE)
