"""Host side of the json module: JSON Schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import jsonschema_rs
import msgspec

from saros.interfaces.module import HostFunction
from saros.model.errors import INVALID, Error
from saros.model.values import quoted_size

from ..sandbox.vm import MAX_VALUE
from .schema_work import MAX_SCHEMAS, alternatives_of, check_work, schemas_of

_SHOWN: Final = 3
_ALL_FAULTS: Final = 4096  # bytes of data
_DESCRIBED: Final = 1_000_000
"""Bytes of data by alternatives (of anyOf and oneOf): a fault holds a copy of the data for each, at 50 ns a byte."""
_MAX_SCHEMA: Final = 262_144  # bytes
_PATTERNS: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=50_000, size_limit=1 << 20)
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

    :param schema: the schema's JSON.
    :param from_table: the schema was written as a Lua table, where ``{}`` is an empty map or an empty list.
    :param loose: the same for the data: read ``[]`` as ``{}`` where only that matches.
    :raises Error: INVALID, not retryable: a bad schema, data that is not JSON, a mismatch, or too much work.
    """
    checker = _checker(schema, from_table)
    value = _parsed(data, "data")
    check_work(checker.schema, checker.size, checker.refers, value, len(data))
    if checker.validator.is_valid(value):
        return
    if checker.alternatives * len(data) > _DESCRIBED:
        raise _invalid(
            "data does not match the schema; with so many alternatives, it is too large to tell where"
        )
    errors = _errors(checker.validator, value, len(data))
    if loose and b"[]" in data:
        value = _with_maps(value, errors)
        if checker.validator.is_valid(value):
            return
        errors = _errors(checker.validator, value, len(data))
    raise _invalid("data does not match the schema: " + _summary(errors))


def _errors(validator: Any, value: Any, size: int) -> list[Any]:
    """Return the faults; for large data only the first, because each takes some 10 µs to describe."""
    if size <= _ALL_FAULTS:
        return list(validator.iter_errors(value))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as exc:
        return [exc]
    return []


class _Checker(NamedTuple):
    validator: Any
    schema: Any
    size: int  # subschemas
    alternatives: int  # those of anyOf and oneOf
    refers: bool


@functools.lru_cache(maxsize=256)
def _checker(text: bytes, from_table: bool) -> _Checker:
    schema = _parsed(text, "the schema")
    if from_table:
        schema = _schema(schema)
    count = schemas_of(schema)
    if len(text) > _MAX_SCHEMA or count > MAX_SCHEMAS:
        limits = f"{_MAX_SCHEMA} bytes and {MAX_SCHEMAS} subschemas"
        raise _invalid(f"the schema has {len(text)} bytes and {count} subschemas; the limits are {limits}")
    try:
        validator = jsonschema_rs.validator_for(
            schema, retriever=_no_remote, validate_formats=True, pattern_options=_PATTERNS
        )
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as exc:
        message = getattr(exc, "message", None) or str(exc)
        raise _invalid(f"the schema is not valid: {message.splitlines()[0]}") from exc
    refers = b"Ref" in text or b"$ref" in text or b"unevaluated" in text
    return _Checker(validator, schema, count, alternatives_of(schema), refers)


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
    """Return the data with ``{}`` for every ``[]`` that is refused because of its type, not its length."""
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


def quote(text: bytes) -> bytes | None:
    """Return the JSON of a text; None when it is not UTF-8.

    :raises Error: INVALID, not retryable, when Lua cannot hold it.
    """
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        return None
    if len(text) > MAX_VALUE // 6 and quoted_size(text) > MAX_VALUE:  # six is the longest escape of a byte
        raise _invalid("a text whose JSON is too large")
    return msgspec.json.encode(decoded)


def text_of(literal: bytes) -> bytes:
    """Return the text of a JSON string.

    :raises Error: INVALID, not retryable, when it is not a JSON string.
    """
    try:
        return msgspec.json.decode(literal, type=str).encode()
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise _invalid("a malformed string") from exc


HOST: dict[str, HostFunction] = {"json_validate": validate, "json_quote": quote, "json_text_of": text_of}
