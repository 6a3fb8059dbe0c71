"""The definitions of the surface for editors: ``types/*.lua``, in the notation of the Lua language server.

They are written by hand, and are the source of the reference in the documentation; a test holds them against
the surface of a VM, both ways.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

TYPES: Final = Path(__file__).parent.parent / "types"

_CLASS: Final = re.compile(r"---@class ([\w.]+)(?:: *([\w.]+))?")
_FIELD: Final = re.compile(r'---@field (?:\["([\w.]+)"\]|(\w+))(\?)? (.+)')
_PARAM: Final = re.compile(r"---@param (\w+|\.\.\.)(\?)? (.+)")
_RETURN: Final = re.compile(r"---@return (.+)")
_FUNCTION: Final = re.compile(r"function (\w+)([.:])(\w+)\((.*)\) end")
_VARIABLE: Final = re.compile(r"(?:local )?(\w+) = \{\}")


class Field(NamedTuple):
    name: str
    optional: bool
    text: str  # its type and description


class Function(NamedTuple):
    name: str
    colon: bool
    doc: str
    params: tuple[Field, ...]
    returns: tuple[str, ...]


class Class(NamedTuple):
    """A module, a class of objects, or the shape of a table."""

    name: str
    base: str
    doc: str
    fields: tuple[Field, ...]
    functions: list[Function]

    @property
    def is_object(self) -> bool:
        return self.base == "userdata"


def modules() -> list[str]:
    """Return the names of the modules that have definitions."""
    return sorted(path.stem for path in TYPES.glob("*.lua") if path.stem != "globals")


def read(name: str) -> str:
    """Return the definitions of a module, or those of ``globals``."""
    return (TYPES / f"{name}.lua").read_text("utf-8")


def parse(text: str) -> list[Class]:
    """Return the classes of a definition file; the class of the module itself comes first.

    :raises ValueError: for a function of something that is not a class.
    """
    classes: list[Class] = []
    variables: dict[str, Class] = {}
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().splitlines()
        doc = " ".join(line[4:] for line in lines if line.startswith("--- ")).strip()
        found: Class | None = None
        for line in lines:
            if match := _CLASS.match(line):
                found = Class(match[1], match[2] or "", doc, tuple(_fields(lines)), [])
                classes.append(found)
            elif (match := _VARIABLE.match(line)) and found is not None:
                variables[match[1]] = found
            elif match := _FUNCTION.match(line):
                if match[1] not in variables:
                    raise ValueError(f"{match[1]}{match[2]}{match[3]} belongs to no class")
                variables[match[1]].functions.append(_function(match, lines, doc))
    return classes


def _fields(lines: list[str]) -> list[Field]:
    matches = [match for line in lines if (match := _FIELD.match(line))]
    return [Field(match[1] or match[2], bool(match[3]), match[4]) for match in matches]


def _function(match: re.Match[str], lines: list[str], doc: str) -> Function:
    params = [Field(found[1], bool(found[2]), found[3]) for line in lines if (found := _PARAM.match(line))]
    given = [part.strip() for part in match[4].split(",") if part.strip()]
    if given != [param.name for param in params]:
        raise ValueError(f"the parameters of {match[3]} are {given}, but {params} are described")
    returns = [found[1] for line in lines if (found := _RETURN.match(line))]
    return Function(match[3], match[2] == ":", doc, tuple(params), tuple(returns))
