"""Keys that would set a limit if they were understood: to leave them out with a warning would loosen it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from saros.entries import Entry, Problem

_SLIP: Final = 0.75  # how like a known key an unknown one is to be a slip of it


def unknown_in(entry: Entry, path: str, known: Iterable[str]) -> Iterator[Problem]:
    """Problems for each key of a table of limits that nothing reads."""
    names = list(known)
    for key in entry.get(path) or {}:
        if key not in names:
            hint = f"known are {', '.join(names)}"
            message = f"`{path}.{key}` is not known, and nothing is left out that may set a limit"
            yield entry.problem(message, f"{path}.{key}", hint)


def slips_of(entry: Entry, known: Mapping[str, Any], limits: Iterable[str]) -> Iterator[Problem]:
    """Problems for each key that is none of `known`, but almost one of those which set limits."""
    names = list(limits)
    for key in entry.data:
        near = difflib.get_close_matches(key, names, 1, _SLIP) if key not in known else []
        if near:
            message = f"`{key}` is not known, and nothing is left out that may set a limit"
            yield entry.problem(message, key, f"did you mean {near[0]}?")
