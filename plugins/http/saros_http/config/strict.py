"""Rejects unknown keys that may set a limit: ignoring one with a warning would loosen the limit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from saros.entries import Entry, Problem

_SLIP: Final = 0.75  # the similarity to a known key from which an unknown one counts as a typing error


def unknown_in(entry: Entry, path: str, known: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each unknown key in a table of limits."""
    names = list(known)
    for key in entry.get(path) or {}:
        if key not in names:
            hint = f"known are {', '.join(names)}"
            message = f"`{path}.{key}` is not known; ignoring it might loosen a limit"
            yield entry.problem(message, f"{path}.{key}", hint)


def slips_of(entry: Entry, known: Mapping[str, Any], limits: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each key that is not `known`, but resembles one that sets a limit."""
    names = list(limits)
    for key in entry.data:
        near = difflib.get_close_matches(key, names, 1, _SLIP) if key not in known else []
        if near:
            message = f"`{key}` is not known; ignoring it might loosen a limit"
            yield entry.problem(message, key, f"did you mean {near[0]}?")
