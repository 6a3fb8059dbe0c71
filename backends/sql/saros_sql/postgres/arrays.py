"""Changes of many rows as one statement, whose parameters are arrays: one for each column."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from ..database.changes import Change, Row

_ELEMENT: Final[dict[type, tuple[int, int]]] = {int: (20, 1016), str: (25, 1009), bytes: (17, 1001)}
"""PostgreSQL's numbers of a type, and of its arrays."""

MOST: Final = 64 << 20
"""Bytes of the values in one statement with several rows."""


class Array:
    """A column of values as a parameter.

    :param kind: the type of its values, of which some may be None.
    :ivar type: PostgreSQL's number of the array's type.
    """

    __slots__ = ("_element", "_kind", "_values", "type")

    def __init__(self, kind: type, values: Sequence[Any]) -> None:
        self._kind, self._values = kind, values
        self._element, self.type = _ELEMENT[kind]

    def encoded(self, encode: Callable[[Any], bytes | None]) -> bytes:
        """Return the array in PostgreSQL's binary format.

        :param encode: encodes a value; None stands for NULL.
        :raises psycopg.DataError: PostgreSQL has no such value.
        """
        values = self._values
        parts = [struct.pack("!iiiii", 1, None in values, self._element, len(values), 1)]
        for value in values:
            data = encode(value)
            parts.append(b"\xff\xff\xff\xff" if data is None else len(data).to_bytes(4, "big") + data)
        return b"".join(parts)


def portions(change: Change, rows: list[Row]) -> Iterator[list[Row]]:
    """Divide rows among statements that the server takes: one of a gigabyte would end the connection."""
    places = [place for place, kind in enumerate(change.types) if kind is bytes]
    portion: list[Row] = []
    size = 0
    for row in rows:
        own = sum(len(row[place] or b"") for place in places)
        if portion and size + own > MOST:
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += own
    yield portion


@cache
def together(change: Change) -> str:
    """Return a change as a statement with an array for each of its parameters."""
    first, *others = change.split("?")
    text = "".join([first, *(f"k.c{number}{part}" for number, part in enumerate(others, 1))])
    columns = ", ".join(f"c{number}" for number, _ in enumerate(others, 1))
    arrays = ", ".join("?" for _ in others)
    if change.startswith("INSERT"):
        begin, _, values = text.partition(" VALUES ")
        numbered = f"unnest({arrays}) WITH ORDINALITY AS k({columns}, place)"
        return f"{begin} SELECT {values.removeprefix('(').removesuffix(')')} FROM {numbered} ORDER BY place"
    begin, _, condition = text.partition(" WHERE ")
    joins = "FROM" if change.startswith("UPDATE") else "USING"
    return f"{begin} {joins} unnest({arrays}) AS k({columns}) WHERE {condition}"
