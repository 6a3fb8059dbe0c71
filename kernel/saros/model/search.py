"""Search attributes and the values that they may have."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from . import values
from .execution import STATUSES
from .timing import datetime_of
from .values import Json

STRING: Final = "string"
INTEGER: Final = "integer"
FLOAT: Final = "float"
BOOLEAN: Final = "boolean"
TIME: Final = "time"
LIST: Final = "list"
MAX_NAME: Final = 1_000
"""Bytes of the name of a search attribute."""


def type_of(value: Any) -> str | None:
    """The search attribute type of a value; None if it cannot be a search attribute."""
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, str):
        return TIME if parse_time(value) else STRING
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return LIST
    return None


def parse_time(text: str) -> dt.datetime | None:
    """Parse an RFC 3339 time with a time zone; return None if the text is not one."""
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt ":
        return None
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def refused_values(search: Json) -> dict[str, str]:
    """The attributes (of a JSON object) whose names or values a search attribute cannot have -> why."""
    refused: dict[str, str] = {}
    for name, value in values.decode(search).items():
        if len(name.encode()) > MAX_NAME:
            refused[name] = f"the name of a search attribute has at most {MAX_NAME:,} bytes"
        elif value is not None and type_of(value) is None:
            kinds = "a string, a number, true or false, a time or a list of strings"
            refused[name] = f"the search attribute {name} must be {kinds}"
    return refused


def check_search(search: Json) -> str | None:
    """Why these attributes cannot all be stored; None if they can."""
    if not isinstance(values.decode(search), dict):
        return "search attributes must be a table with names as keys"
    return _reasons(refused_values(search))


def admitted(search: Json, refused: Mapping[str, str]) -> tuple[Json, str | None]:
    """Split attributes into those that are stored, and the reasons why the refused ones are not.

    :param refused: name -> reason.
    """
    if not refused:
        return search, None
    kept = {name: value for name, value in values.decode(search).items() if name not in refused}
    return values.encode(kept), _reasons(refused)


def _reasons(refused: Mapping[str, str]) -> str | None:
    return "; ".join(dict.fromkeys(refused.values())) or None


def upserted(old: Mapping[str, msgspec.Raw], new: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Attributes after an upsert: a null removes its name. The arguments stay unchanged: runs share attributes."""
    merged = {**old, **{name: msgspec.Raw(bytes(value)) for name, value in new.items()}}
    return {name: value for name, value in merged.items() if bytes(value) != b"null"}


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
    """All conditions must hold; an empty query always does."""

    parts: tuple[Node, ...]


class AnyOf(NamedTuple):
    """At least one condition must hold."""

    parts: tuple[Node, ...]


Node = Condition | All | AnyOf


class Fields(Protocol):
    """What a query may compare of a run: a `Description`, or what a store has before it makes one."""

    @property
    def id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def task_queue(self) -> str: ...
    @property
    def start_time(self) -> int: ...
    @property
    def close_time(self) -> int | None: ...
    @property
    def search_attributes(self) -> Mapping[str, msgspec.Raw]: ...


def conditions(node: Node) -> Iterator[Condition]:
    """All conditions of a query, at any depth."""
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


def statuses(node: Node) -> list[str] | None:
    """The statuses that a query selects, if it asks for nothing else; None for any other query.

    A store that knows the number of its runs by status counts such a query without reading the runs.
    """
    if any(condition.field != "status" for condition in conditions(node)):
        return None
    return [status for status in STATUSES if _holds(node, _always(status))]


def _always(value: Any) -> Callable[[Condition], Any]:
    return lambda condition: value


def matches(node: Node, run: Fields) -> bool:
    """True if a query selects a run."""
    return _holds(node, lambda condition: _compared(condition, run))


def _holds(node: Node, compared: Callable[[Condition], Any]) -> bool:
    if isinstance(node, All):
        return all(_holds(part, compared) for part in node.parts)
    if isinstance(node, AnyOf):
        return any(_holds(part, compared) for part in node.parts)
    return node.matches(compared(node))


def _compared(condition: Condition, run: Fields) -> Any:
    """What a run has where a condition looks."""
    if not condition.field:
        raw = run.search_attributes.get(condition.name)
        return None if raw is None else msgspec.json.decode(raw)
    found: Any = getattr(run, condition.field)
    if condition.field.endswith("_time") and found is not None:
        return datetime_of(found)  # exact, as in an index of microseconds
    return found


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
