"""What a list query is made of, and which runs it selects."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from .execution import Description
from .search import parse_time

OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Condition(NamedTuple):
    name: str  # as the user wrote it
    field: str  # of Description, or "" for a search attribute
    operator: str  # one of = != > >= < <= in starts null
    value: Any  # a list for "in"; None for "null"
    negated: bool = False

    def matches(self, found: Any) -> bool:
        return self._holds(found) is not self.negated

    def _holds(self, found: Any) -> bool:
        if self.operator == "null":
            return found is None
        if self.operator == "in":
            return any(_equal(found, value) for value in self.value)
        if self.operator == "starts":
            return any(
                isinstance(item, str) and item.startswith(self.value)
                for item in (found if isinstance(found, list) else [found])
            )
        if isinstance(found, list):  # a list attribute holds the value
            holds = self.value in found
            return holds if self.operator == "=" else self.operator == "!=" and not holds
        if found is None:
            return self.operator == "!="
        found, value = _comparable(found, self.value)
        try:
            return OPERATORS[self.operator](found, value)
        except TypeError:
            return self.operator == "!="


class All(NamedTuple):
    """All of them must hold; those of an empty query always do."""

    parts: tuple[Node, ...]


class AnyOf(NamedTuple):
    """One of them must hold."""

    parts: tuple[Node, ...]


Node = Condition | All | AnyOf


def conditions(node: Node) -> Iterator[Condition]:
    """All conditions of a query, wherever they are."""
    if isinstance(node, Condition):
        yield node
    else:
        for part in node.parts:
            yield from conditions(part)


def required(node: Node) -> list[Condition]:
    """Conditions that hold for every run that the query selects, for stores that have indexes."""
    if isinstance(node, Condition):
        return [] if node.negated else [node]
    if isinstance(node, All):
        return [condition for part in node.parts for condition in required(part)]
    return []


def matches(node: Node, description: Description) -> bool:
    """Whether a query selects a run."""
    if isinstance(node, All):
        return all(matches(part, description) for part in node.parts)
    if isinstance(node, AnyOf):
        return any(matches(part, description) for part in node.parts)
    if node.field:
        found: Any = getattr(description, node.field)
        if node.field.endswith("_time") and found is not None:
            found = dt.datetime.fromtimestamp(found / 1e9, dt.UTC)
    else:
        raw = description.search_attributes.get(node.name)
        found = None if raw is None else msgspec.json.decode(raw)
    return node.matches(found)


def _comparable(found: Any, value: Any) -> tuple[Any, Any]:
    if isinstance(found, str) and isinstance(value, str | dt.datetime):
        one, other = parse_time(found), parse_time(value) if isinstance(value, str) else value
        if one is not None and other is not None:
            return one, other
    return found, value


def _equal(found: Any, value: Any) -> bool:
    if isinstance(found, list):
        return value in found
    one, other = _comparable(found, value)
    return bool(one == other)
