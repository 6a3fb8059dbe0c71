"""Changes of rows that a transaction makes together.

A batch of workflow tasks makes the same few changes for each of its runs. Sent one by one they cost most of the time
of a commit, so a transaction gathers them, and a database makes all rows of one kind of change at once.
"""

from __future__ import annotations

import re
from typing import Any, Final

_TABLE: Final = re.compile(r"(?:INSERT INTO|DELETE FROM|UPDATE) (\w+)")
Row = tuple[Any, ...]


class Change(str):
    """A statement that changes rows of one table by its parameters alone, and reads no other table.

    Several rows of parameters may be applied in any order: those that concern the same row of the table must do the
    same to it. Rows that are inserted are numbered in their order.

    :ivar table: the table.
    :ivar types: the types of the parameters.
    """

    table: str
    types: tuple[type, ...]

    def __new__(cls, sql: str, *types: type) -> Change:
        change = super().__new__(cls, sql)
        found = _TABLE.match(sql)
        assert found is not None
        assert sql.count("?") == len(types)
        change.table, change.types = found[1], types
        return change


class Changes:
    """What a transaction still has to change. The changes of each table keep their order."""

    def __init__(self) -> None:
        self._groups: list[tuple[Change, list[Row]]] = []
        self._last: dict[str, tuple[Change, list[Row]]] = {}  # table -> its last group

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, change: Change, row: Row) -> None:
        last = self._last.get(change.table)
        if last is not None and last[0] is change:
            last[1].append(row)
        else:
            group = self._last[change.table] = change, [row]
            self._groups.append(group)

    def take(self) -> list[tuple[Change, list[Row]]]:
        """Return the groups, in the order in which they have to be made, and forget them."""
        groups, self._groups = self._groups, []
        self._last.clear()
        return groups
