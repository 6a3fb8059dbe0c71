"""Limits of the sizes of scripts: a long argument blocks the server for all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from saros.interfaces.store import Commit

T = TypeVar("T")

SCRIPT = 1_000_000
"""The most bytes of commits, or results, in one script: this many block the server for a few milliseconds."""
RECORD = 2_000
"""The cost of a record in a script, as bytes: it may start an activity or a timer."""


def bytes_of(commit: Commit) -> int:
    """Return how many bytes a commit adds to its history."""
    return sum(record.size for record in commit.records)


def work_of(commit: Commit) -> int:
    """Return the work of a script for a commit, as bytes."""
    return bytes_of(commit) + RECORD * len(commit.records)


def portions(items: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield the items in order, as many at a time as fit into one script."""
    first = total = 0
    for at, item in enumerate(items):
        total += size(item)
        if total > SCRIPT and at > first:
            yield items[first:at]
            first, total = at, size(item)
    yield items[first:]
