"""Host side of the json module: JSON Schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs
import msgspec

from saros.errors import INVALID, Error
from saros.modules import HostFunction

_SHOWN: Final = 3
_MAP_OF_SCHEMAS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_SCHEMA: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_KINDS: Final = frozenset({"anyOf", "const", "enum", "oneOf", "type"})
_LIST_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})


def validate(schema: bytes, from_table: bool, data: bytes, loose: bool) -> None:
    """Check JSON data against a JSON Schema.

    :param schema: its JSON.
    :param from_table: the schema was written as a Lua table, where ``{}`` is an empty map or an empty list.
    :param loose: the same of the data: take ``[]`` for ``{}`` where only that matches.
    :raises Error: INVALID, not retryable: a bad schema, data that is not JSON, or a mismatch.
    """
    validator = _validator(schema, from_table)
    value = _parsed(data, "data")
    errors = list(validator.iter_errors(value))
    if errors and loose:
        errors = list(validator.iter_errors(_with_maps(value, errors)))
    if errors:
        raise _invalid("data does not match the schema: " + _summary(errors))


@functools.lru_cache(maxsize=256)
def _validator(text: bytes, from_table: bool) -> Any:
    schema = _parsed(text, "the schema")
    if from_table:
        schema = _schema(schema)
    try:
        return jsonschema_rs.validator_for(schema, retriever=_no_remote, validate_formats=True)
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as exc:
        message = getattr(exc, "message", None) or str(exc)
        raise _invalid(f"the schema is not valid: {message.splitlines()[0]}") from exc


def _no_remote(uri: str) -> Any:
    raise ValueError(f"a schema of another document is not loaded: {uri}; put it under $defs")


def _parsed(text: bytes, what: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _invalid(f"{what} is not valid JSON: {exc}") from exc


def _schema(node: Any) -> Any:
    """Return a schema whose empty lists are empty maps where a schema or a map of schemas belongs."""
    if node == []:
        return {}
    if not isinstance(node, dict):
        return node
    return {key: _keyword(key, item) for key, item in node.items()}


def _keyword(key: str, item: Any) -> Any:
    if key in _MAP_OF_SCHEMAS:
        named = item or {}
        return {name: _schema(part) for name, part in named.items()} if isinstance(named, dict) else item
    if key in _LIST_OF_SCHEMAS and isinstance(item, list) and item:
        return [_schema(part) for part in item]
    return _schema(item) if key in _SCHEMA else item


def _with_maps(value: Any, errors: list[Any]) -> Any:
    """Return the data with ``{}`` for every ``[]`` that is refused as such, not for its length."""
    for error in errors:
        path = list(error.instance_path)
        if not error.schema_path or error.schema_path[-1] not in _KINDS:
            continue
        if not path:
            value = {} if value == [] else value
            continue
        parent = functools.reduce(lambda node, step: node[step], path[:-1], value)
        if parent[path[-1]] == []:
            parent[path[-1]] = {}
    return value


def _summary(errors: list[Any]) -> str:
    texts = list(_texts(errors[:_SHOWN]))
    if len(errors) > _SHOWN:
        texts.append(f"and {len(errors) - _SHOWN} more")
    return "; ".join(texts)


def _texts(errors: list[Any]) -> Iterator[str]:
    for error in errors:
        path = "".join(
            f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in error.instance_path
        )
        yield f"data{path}: {error.message}"


def _invalid(message: str) -> Error:
    return Error(message, INVALID, retryable=False)


HOST: dict[str, HostFunction] = {"json_validate": validate}
