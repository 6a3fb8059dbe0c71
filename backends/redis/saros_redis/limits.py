"""Limits of sizes: a long argument blocks the server for all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from saros.interfaces.store import Commit
from saros.model.errors import INVALID, Error
from saros.model.values import Json

T = TypeVar("T")

COMMIT = 8
"""The largest commit, as a multiple of the largest value."""
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


def check(body: Json, most: int, what: str) -> None:
    """:raises Error: INVALID when a value is too large."""
    if len(body) > most:
        raise Error(
            f"{what} has {len(body):,} bytes, and the limit is {most:,}",
            INVALID,
            retryable=False,
            hint="store large data elsewhere and pass a reference, or raise payload= in the backend URL",
        )


def portions(items: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield the items in order, as many at a time as fit into one script."""
    first = total = 0
    for at, item in enumerate(items):
        total += size(item)
        if total > SCRIPT and at > first:
            yield items[first:at]
            first, total = at, size(item)
    yield items[first:]


def too_large(commit: Commit, most: int) -> str | None:
    """Return why a commit is too large to be stored, or None."""
    for record in commit.records:
        if len(record.body) > most:
            return f"its {record.op} has {len(record.body):,} bytes, and the limit is {most:,} (payload=)"
    total = bytes_of(commit)
    if total > COMMIT * most:
        return f"one step recorded {total:,} bytes, and the limit is {COMMIT * most:,} (payload=)"
    return None
