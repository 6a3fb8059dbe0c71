"""The work to check a value against a JSON Schema: an upper bound, computed before the check.

References make small schemas large: each may double the work of the one before, and the validating library cannot
be interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from saros.model.errors import INVALID, Error

__all__ = ["MAX_SCHEMAS", "alternatives_of", "check_work", "schemas_of"]

MAX_SCHEMAS: Final = 5000
"""Subschemas of one schema: compiling them takes some 3 µs each, and reporting a fault some 10 µs each."""
MAX_STEPS: Final = 5_000_000
"""Subschema by value: some 10 ns each."""
_MAX_PAIRS: Final = 30_000  # at most so many are counted one by one
_MAX_VISITS: Final = 100_000  # of them, including those that are known already
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_SINGLE: Final = ("not", "if", "then", "else")
_MAPS: Final = ("dependentSchemas", "dependencies")
_ITEMS: Final = ("items", "additionalItems", "contains", "unevaluatedItems")
_PROPERTIES: Final = ("additionalProperties", "unevaluatedProperties")


def schemas_of(schema: Any) -> int:
    """Return the number of maps in a schema, an upper bound of its subschemas."""
    waiting, count = [schema], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            count += 1
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return count


def alternatives_of(schema: Any) -> int:
    """Return the number of subschemas in all lists of anyOf and oneOf."""
    waiting, count = [schema], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key in ("anyOf", "oneOf"):
                parts = node.get(key)
                count += len(parts) if isinstance(parts, list) else 0
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return count


def check_work(schema: Any, count: int, refers: bool, value: Any, size: int) -> None:
    """Refuse a check that would take too long.

    :param count: subschemas of `schema`.
    :param refers: whether it has references, or keywords that use the results of others.
    :param size: bytes of the value's JSON.
    :raises Error: INVALID, not retryable.
    """
    if refers or count * (size // 2 + 1) > MAX_STEPS:
        _Counter(schema).steps(schema, value)


class _Counter:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, int], int | None] = {}
        self._visits = 0
        self._anchors: dict[str, Any] = dict(_anchors(root))

    def steps(self, schema: Any, value: Any) -> int:
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise _refused(f"this would check more than {_MAX_VISITS} times whether a part matches")
        if not isinstance(schema, dict):
            return 1
        pair = id(schema), id(value)
        known = self._known.get(pair, -1)
        if known is None:
            raise _refused("a reference of the schema leads back to itself")
        if known >= 0:
            return known
        if len(self._known) >= _MAX_PAIRS:
            raise _refused(f"this would check more than {_MAX_PAIRS} pairs of a schema and a value")
        self._known[pair] = None
        total = 1 + len(schema)
        in_place = sum(self.steps(part, value) for part in self._beside(schema))
        total += in_place
        if "unevaluatedItems" in schema or "unevaluatedProperties" in schema:
            total += in_place
        total += sum(self.steps(part, item) for part, item in _inside(schema, value))
        if total > MAX_STEPS:
            raise _refused(f"this would take more than {MAX_STEPS} steps")
        self._known[pair] = total
        return total

    def _beside(self, schema: dict[str, Any]) -> Iterator[Any]:
        """Yield the subschemas that apply to the same value."""
        for key in _LISTS:
            parts = schema.get(key)
            if isinstance(parts, list):
                yield from parts
        for key in _SINGLE:
            if key in schema:
                yield schema[key]
        for key in _MAPS:
            parts = schema.get(key)
            if isinstance(parts, dict):
                yield from parts.values()
        for key in _REFERENCES:
            if isinstance(schema.get(key), str):
                yield self._target(schema[key])

    def _target(self, reference: str) -> Any:
        if reference in self._anchors:
            return self._anchors[reference]
        path = reference.partition("#")[2]
        node = self._root
        for step in path.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdigit() and int(step) < len(node):
                node = node[int(step)]
            elif isinstance(node, dict) and step in node:
                node = node[step]
            else:
                return True  # a reference to another document: the library reports it
        return node


def _anchors(root: Any) -> Iterator[tuple[str, Any]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, prefix in (("$id", ""), ("$anchor", "#"), ("$dynamicAnchor", "#")):
                if isinstance(node.get(key), str):
                    yield prefix + node[key], node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _inside(schema: dict[str, Any], value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the subschemas that apply to parts of the value, with those parts."""
    if isinstance(value, dict):
        named, patterns = schema.get("properties"), schema.get("patternProperties")
        if isinstance(named, dict):
            for key in named if len(named) < len(value) else value:
                if key in named and key in value:
                    yield named[key], value[key]
        others = [schema[keyword] for keyword in _PROPERTIES if keyword in schema]
        if isinstance(patterns, dict):
            others += patterns.values()
        for part in others:
            for item in value.values():
                yield part, item
        if "propertyNames" in schema:
            for key in value:
                yield schema["propertyNames"], key
    elif isinstance(value, list):
        first = schema.get("prefixItems") or schema.get("items")
        if isinstance(first, list):
            yield from zip(first, value, strict=False)
        for keyword in _ITEMS:
            part = schema.get(keyword)
            if part is not None and not isinstance(part, list):
                for item in value:
                    yield part, item


def _refused(why: str) -> Error:
    return Error(
        f"the check is too much work: {why}; check smaller parts, or simplify the schema",
        INVALID,
        retryable=False,
    )
