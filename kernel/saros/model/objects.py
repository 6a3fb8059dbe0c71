"""Python objects that represent plain data."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import sys
import uuid
from typing import Any

import msgspec


def stands_for(value: Any) -> Any:
    """The data that an object represents, which may hold more such objects; the object itself if it is not data."""
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
    """What msgspec would write and read: fields by their encoded names, with the tag."""
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
    """True if a value is a model of pydantic, which need not be installed."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)
