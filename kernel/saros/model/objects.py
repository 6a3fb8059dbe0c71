"""Python objects that represent plain data: the builtins whose JSON `saros.model.values` writes."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import math
import re
import sys
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from . import text as plain
from .errors import INVALID, Error, ErrorData
from .raw import ABSENT, Raw

RESERVED: Final = re.compile(r"\$+(?:bin|error)")
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_MAX_DEPTH: Final = 128
_to_json = msgspec.json.Encoder().encode


def plain_data(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _text(value, path)
    if value is None or kind is bool:
        return value
    if kind is int:
        if INT_MIN <= value <= INT_MAX:
            return value
        raise refused(path, "an integer of more than 64 bits")
    if kind is float:
        if math.isfinite(value):
            return value
        raise refused(path, "NaN" if math.isnan(value) else "an infinite number")
    if depth >= _MAX_DEPTH:
        raise refused(path, f"nested deeper than {_MAX_DEPTH} levels, or a cycle")
    if kind is dict or isinstance(value, Mapping):
        return _plain_map(value, path, depth)
    if isinstance(value, (list, tuple)):
        return [plain_data(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value, 1)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, Error):
        details = ABSENT
        if value.details is not None:
            details = Raw(_to_json(plain_data(value.details, f"{path}.details", depth + 1)))
        return {"$error": error_form(value, details)}
    return _plain_other(value, path, depth)


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refused(path, "text with a lone surrogate; pass bytes instead") from None
    return value


def _plain_map(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in value.items():
        name = key
        if type(key) is not str or not key.isascii():
            if not isinstance(key, str):
                raise refused(path, f"a map with the key {plain.shown(key)}; keys are text")
            name = _text(str.__str__(key), path)
        made[name] = plain_data(item, f"{path}.{key}", depth + 1)
    if len(made) == 1 and RESERVED.fullmatch(next(iter(made))):
        ((key, item),) = made.items()
        return {"$" + key: item}
    return made


def _plain_other(value: Any, path: str, depth: int) -> Any:
    data = stands_for(value)
    if data is value:
        raise refused(path, f"a {type(value).__name__}")
    return plain_data(data, path, depth)


def refused(path: str, what: str) -> Error:
    where = plain.one_line(plain.cut(path))
    return Error(f"{where} is {what}, which cannot cross a boundary", INVALID, retryable=False)


def error_form(error: Error, details: Raw, why: str = "") -> ErrorData:
    stack = None if error.stack is None else text_of(error.stack)
    retryable = error.retryable if isinstance(error.retryable, bool) else None
    return ErrorData(
        text_of(error.message) + why, text_of(error.kind), retryable, details, stack, text_of(error.context)
    )


def text_of(value: Any) -> str:
    """Convert any object to text that can cross a boundary. Never raises."""
    try:
        return str(value).encode(errors="backslashreplace").decode()
    except BaseException as raised:  # its __str__ may do anything
        return f"a {type(value).__name__} without a text ({type(raised).__name__})".encode(
            errors="backslashreplace"
        ).decode()


def stands_for(value: Any) -> Any:
    """Return the data that an object represents, which may hold more such objects; other objects are unchanged."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, int):  # a subclass, as in the cases below
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time, uuid.UUID, decimal.Decimal)):
        return msgspec.to_builtins(value)
    if isinstance(value, msgspec.Struct):
        return _of_struct(value)
    if _is_model(value):
        return value.model_dump(by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value


def _of_struct(value: msgspec.Struct) -> dict[str, Any] | list[Any]:
    """Return a struct's fields as msgspec writes them: by their encoded names, with the tag."""
    config = value.__struct_config__
    fields = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    given = {name: getattr(value, field) for field, name in fields}
    given = {name: item for name, item in given.items() if item is not msgspec.UNSET}
    if config.array_like:
        tag = [] if config.tag is None else [config.tag]
        return [*tag, *given.values()]
    if config.tag is not None and config.tag_field is not None:
        given = {config.tag_field: config.tag, **given}
    return given


def _is_model(value: Any) -> bool:
    """Return whether a value is a pydantic model, without importing pydantic."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)
