"""The index of search attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from saros.model.search import parse_time
from saros.model.timing import micros_of

from ..database.transaction import Transaction

LONGEST_TEXT: Final = 256
"""Characters of a text that are found by an index; PostgreSQL's holds less than 2,704 bytes of a row."""


def index(tx: Transaction, run: int, search: Mapping[str, msgspec.Raw]) -> None:
    """Index the search attributes of a run by their values."""
    rows: list[tuple[Any, ...]] = []
    for name, raw in search.items():
        value = msgspec.json.decode(raw)
        for item in (value or [None]) if isinstance(value, list) else [value]:
            rows.append((run, name, *columns(item)))
    tx.many("INSERT INTO attributes (run, name, text, number, time) VALUES (?, ?, ?, ?, ?)", rows)


def columns(value: Any) -> tuple[str | None, float | None, int | None]:
    """Return a value as the beginning of a text, as a number and as a time; each is None where it does not apply."""
    if isinstance(value, str):
        time = parse_time(value)
        text = value[:LONGEST_TEXT].replace("\0", "\ufffd")  # PostgreSQL does not store NUL in text
        return text, None, None if time is None else micros_of(time)
    try:
        return None, float(value), None
    except (OverflowError, TypeError, ValueError):
        return None, None, None
