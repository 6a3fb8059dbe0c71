"""Limits on the size of values."""

from __future__ import annotations

from typing import Final

from saros.interfaces.store import Commit
from saros.model.errors import INVALID, Error
from saros.model.values import Json

COMMIT: Final = 8
"""The largest commit, as a multiple of the largest value."""


def check(body: Json, most: int, what: str) -> None:
    """:raises Error: INVALID when a value is too large."""
    if len(body) > most:
        raise Error(
            f"{what} has {len(body):,} bytes, and the limit is {most:,}",
            INVALID,
            retryable=False,
            hint="store large data elsewhere and pass a reference, or raise payload= in the backend URL",
        )


def too_large(commit: Commit, most: int) -> str | None:
    """Return why a commit is too large to be stored, or None."""
    total = 0
    for record in commit.records:
        total += record.size
        if len(record.body) > most:
            return f"its {record.op} has {len(record.body):,} bytes, and the limit is {most:,} (payload=)"
    if total > COMMIT * most:
        return f"one step recorded {total:,} bytes, and the limit is {COMMIT * most:,} (payload=)"
    return None
