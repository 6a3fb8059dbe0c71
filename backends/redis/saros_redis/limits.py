"""How large things may be: a long argument blocks the server for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from saros.interfaces.store import Commit
from saros.model.errors import INVALID, Error
from saros.model.values import Json

T = TypeVar("T")

COMMIT = 8
"""A commit may be this many times as large as one value."""
SCRIPT = 1_000_000
"""Bytes of several commits, or results, that go into one script: so many hold the server for a few milliseconds."""
RECORD = 2_000
"""What a record costs in a script, in bytes: it may start an activity or a timer."""


def bytes_of(commit: Commit) -> int:
    """How much a commit adds to its history."""
    return sum(record.size for record in commit.records)


def work_of(commit: Commit) -> int:
    """How much a script has to do for a commit, in bytes."""
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
    """Items in their order, as many at a time as one script takes."""
    first = total = 0
    for at, item in enumerate(items):
        total += size(item)
        if total > SCRIPT and at > first:
            yield items[first:at]
            first, total = at, size(item)
    yield items[first:]


def too_large(commit: Commit, most: int) -> str | None:
    """Why a commit cannot be stored, or None."""
    for record in commit.records:
        if len(record.body) > most:
            return f"its {record.op} has {len(record.body):,} bytes, and the limit is {most:,} (payload=)"
    total = bytes_of(commit)
    if total > COMMIT * most:
        return f"one step recorded {total:,} bytes, and the limit is {COMMIT * most:,} (payload=)"
    return None
