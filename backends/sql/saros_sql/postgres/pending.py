"""Statements of a transaction that wait for others, to share a round trip with them.

Those of one execution keep their order. Those of different executions do not depend on each other: the same
statements of many executions are sent together, one kind after the other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

MOST: Final = 500
"""Statements that wait."""
FEW: Final = 12
"""So many can be made one statement."""
_CHANGES: Final = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_ROWS: Final = re.compile(r"(INSERT .* VALUES )(\([?, ]+\))")

Rows = list[tuple[Any, ...]]


class Pending:
    """
    :ivar _last: the place of the last statement of each execution.
    """

    _kinds: dict[str, Rows]
    _places: dict[str, int]
    _last: dict[str, int]
    _count: int

    def __init__(self) -> None:
        self._clear()

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def of(self, id: str) -> bool:
        """Whether there is a statement of this execution."""
        return id in self._last

    def add(self, id: str, sql: str, args: tuple[Any, ...]) -> bool:
        """Add a statement; return False when those that wait have to be run before it."""
        place = self._places.get(sql, len(self._places))
        if place < self._last.get(id, 0) or self._count >= MOST:
            return False
        self._places[sql] = self._last[id] = place
        self._kinds.setdefault(sql, []).append(args)
        self._count += 1
        return True

    def take(self) -> list[tuple[str, Rows]]:
        """Return the statements to run, each with its rows of arguments."""
        one = self.with_query("", ())
        kinds = [(one[0], [one[1]])] if one is not None else list(self._kinds.items())
        self._clear()
        return kinds

    def with_query(self, query: str, args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]] | None:
        """Return one statement that does all and gives what a query finds, which sees none of it; None if there is
        no such statement."""
        if self._count > FEW:
            return None
        kinds = [*self._kinds.items(), *([(query, [args])] if query else [])]
        text = merged(tuple((sql, len(rows)) for sql, rows in kinds))
        if text is None:
            return None
        self._clear()
        return text, tuple(arg for _, rows in kinds for row in rows for arg in row)

    def _clear(self) -> None:
        self._kinds, self._places, self._last, self._count = {}, {}, {}, 0


@lru_cache(1_000)
def merged(kinds: tuple[tuple[str, int], ...]) -> str | None:
    """One statement that does what these do, for so many rows each; None if they may depend on each other."""
    parts: list[str] = []
    tables: list[str] = []
    for sql, count in kinds:
        if (changes := _CHANGES.match(sql)) is not None:
            tables.append(changes[1])
        if count > 1:
            rows = _ROWS.fullmatch(sql)
            if rows is None:
                return None
            sql = rows[1] + ", ".join([rows[2]] * count)
        parts.append(sql)
    for table in tables:
        if sum(re.search(rf"\b{table}\b", sql) is not None for sql in parts) > 1:
            return None
    *first, last = parts
    named = ", ".join(f"part{number} AS ({sql})" for number, sql in enumerate(first))
    return f"WITH {named} {last}" if named else last
