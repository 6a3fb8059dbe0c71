"""List queries in SQL.

A query becomes an SQL condition that selects the same runs or a few more. Python then filters them, so that values of
different types, long numbers and attributes that are times compare as on every backend. Every condition on a field or
attribute has an index.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from saros.interfaces.insight import PARKED, RETRYING
from saros.model.execution import Description
from saros.model.search import All, Condition, Node, matches, parse_time
from saros.model.timing import micros_of

from ..database.transaction import Transaction
from .attributes import LONGEST_TEXT, columns
from .views import DESCRIPTION, description

PAGE: Final = 200
_FIELDS: Final = ("status", "type", "id", "run_id", "task_queue")
_FEW: Final = ("status", "type", "task_queue")
"""Fields with few values: a condition on several values matches most runs, so a scan is faster than an index."""
_FAR: Final = (1 << 63) - 10_000
"""Beyond the times of all runs, and within a column of 64 bits."""
_TIMES: Final = ("start_time", "close_time")
_LOOSE: Final = {"=": "=", "<": "<=", "<=": "<=", ">": ">=", ">=": ">="}
"""Operators that also match values that were rounded."""
_ALL: Final = ("1 = 1", ())
_TROUBLED: Final = {
    "": "",
    PARKED: "runs.run IN (SELECT run FROM runs WHERE problem IS NOT NULL) AND ",
    RETRYING: "runs.run IN (SELECT run FROM activities WHERE attempt > 1) AND ",
}
"""Conditions on what only running runs have, each with an index of few rows."""

Sql = tuple[str, tuple[Any, ...]]


def page(
    tx: Transaction, node: Node, before: int | None, trouble: str = ""
) -> tuple[list[Description], int | None]:
    """Return the runs of one page, newest first, and where the next page begins; None if this is the last.

    :param before: where this page begins.
    :param trouble: only the runs in this trouble (see `Finder`).
    """
    condition, args = _sql(node)
    if before is not None:
        condition, args = f"runs.run < ? AND ({condition})", (before, *args)
    rows = tx.all(
        f"{DESCRIPTION} WHERE {_TROUBLED[trouble]}({condition}) ORDER BY runs.run DESC LIMIT ?", *args, PAGE
    )
    found = [each for each in map(description, rows) if matches(node, each)]
    return found, rows[-1][0] if len(rows) == PAGE else None


def is_exact(node: Node) -> bool:
    """Return whether the SQL condition of a query selects exactly the runs that the query selects."""
    if not isinstance(node, Condition):
        return all(map(is_exact, node.parts))
    if node.operator == "null":
        return node.field in (*_FIELDS, *_TIMES)
    if node.negated:
        return False
    if node.field in _TIMES:
        return node.operator in _LOOSE and isinstance(node.value, dt.datetime)
    values = node.value if node.operator == "in" else [node.value]
    texts = all(isinstance(value, str) and parse_time(value) is None for value in values)
    if not node.field:
        return texts and node.operator in ("=", "in") and all(map(_is_indexed, values))
    if node.field not in _FIELDS:
        return False
    if node.operator == "starts":
        return _starts(node.field, node.value) != _ALL
    return texts and node.operator in ("=", "in", "<=", ">=")


def _is_indexed(text: str) -> bool:
    """Return whether the index of attributes has a text as it is."""
    return len(text) < LONGEST_TEXT and columns(text)[0] == text and "\ufffd" not in text


def counts(tx: Transaction, node: Node) -> dict[str, int]:
    """Return the number of runs that an exact query selects, by status."""
    condition, args = _sql(node)
    return dict(tx.all(f"SELECT status, count(*) FROM runs WHERE {condition} GROUP BY status", *args))


def _sql(node: Node) -> Sql:
    if isinstance(node, Condition):
        return _field(node) if node.field else _attribute(node)
    parts = [_sql(part) for part in node.parts]
    if not parts:
        return _ALL
    word = " AND " if isinstance(node, All) else " OR "
    return word.join(f"({sql})" for sql, _ in parts), tuple(arg for _, args in parts for arg in args)


def _field(node: Condition) -> Sql:
    column, operator, value = f"runs.{node.field}", node.operator, node.value
    if operator == "null":
        return f"{column} IS {'NOT ' if node.negated else ''}NULL", ()
    if node.negated or operator == "!=":
        return _ALL
    if node.field in _TIMES and isinstance(value, dt.datetime):
        return _time(column, operator, value)
    if node.field not in _FIELDS:
        return _ALL
    if node.field in _FEW and operator != "=":
        column = f"{column} || ''"  # prevents the use of the index
    if operator == "in" and all(isinstance(item, str) for item in value):
        return f"{column} IN ({', '.join('?' for _ in value)})", tuple(value)
    if operator == "starts":
        return _starts(column, value)
    if operator in _LOOSE and isinstance(value, str) and parse_time(value) is None:
        return f"{column} {_LOOSE[operator]} ?", (value,)
    return _ALL


def _time(column: str, operator: str, value: dt.datetime) -> Sql:
    """Compare a column of nanoseconds with a time in microseconds; each of these has a thousand nanoseconds."""
    ns = max(-_FAR, min(_FAR, micros_of(value) * 1_000))
    bounds = {
        "=": (f"{column} BETWEEN ? AND ?", (ns, ns + 999)),
        "<": (f"{column} < ?", (ns,)),
        "<=": (f"{column} <= ?", (ns + 999,)),
        ">": (f"{column} > ?", (ns + 999,)),
        ">=": (f"{column} >= ?", (ns,)),
    }
    return bounds.get(operator, _ALL)


def _starts(column: str, prefix: str) -> Sql:
    """Match strings that begin with a prefix, by the index."""
    if not prefix or ord(prefix[-1]) >= 0xD7FF:
        return _ALL
    return f"{column} >= ? AND {column} < ?", (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))


def _attribute(node: Condition) -> Sql:
    operator, value = node.operator, node.value
    if operator == "null":
        some = "" if node.negated else "NOT "
        return f"runs.run {some}IN (SELECT run FROM attributes WHERE name = ?)", (node.name,)
    if node.negated or operator == "!=":
        return _ALL
    if operator == "in":
        parts = [_value("=", item) for item in value]
    elif operator == "starts":
        parts = [_starts("text", value[:LONGEST_TEXT])]
    elif operator in _LOOSE:
        parts = [_value(operator, value)]
    else:
        return _ALL
    condition = " OR ".join(f"({sql})" for sql, _ in parts)
    args = tuple(arg for _, some in parts for arg in some)
    return f"runs.run IN (SELECT run FROM attributes WHERE name = ? AND ({condition}))", (node.name, *args)


def _value(operator: str, value: Any) -> Sql:
    loose = _LOOSE[operator]
    if isinstance(value, dt.datetime):
        return f"time {loose} ?", (micros_of(value),)
    text, number, time = columns(value)
    if time is not None:
        return f"time {loose} ? OR text {loose} ?", (time, text)
    if text is not None:
        return f"text {loose} ?", (text,)
    return (f"number {loose} ?", (number,)) if number is not None else _ALL
