"""Converts plain data to type hints.

msgspec does the conversion, or pydantic for its models. This module splits hints that msgspec does not support
(``str | bytes``, a union of two dataclasses, an enum of floats) into their parts.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

Convert = Callable[[Any], Any]
"""Converts plain data to a hint; raises ValueError (such as msgspec.ValidationError) if it does not fit."""

_PLACE: Final = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
_SEQUENCES: Final = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
_MAPPINGS: Final = (dict, abc.Mapping, abc.MutableMapping)


def misfit(error: ValueError) -> tuple[str, str]:
    """Return what does not fit, and its place in the value, such as ``.lines[0].sku``; empty for the whole."""
    text = str(error)
    place = _PLACE.search(text)
    return (text, "") if place is None else (text[: place.start()], place[1])


def _part(convert: Convert | None, value: Any, place: str) -> Any:
    """Convert a part; an error names its place as msgspec does."""
    try:
        return value if convert is None else convert(value)
    except ValueError as error:
        text, inner = misfit(error)
        raise ValueError(f"{text} - at `${place}{inner}`") from error


def converter(hint: Any) -> Convert | None:
    """Return the converter for a hint; None if values stay unchanged."""
    if hint is Any or hint is object or isinstance(hint, typing.TypeVar):
        return None
    model = _model(hint)
    if model is not None:
        return model
    try:
        msgspec.json.Decoder(hint, dec_hook=_hook)
        shape = msgspec.inspect.type_info(hint)
    except Exception:  # msgspec does not support the hint
        return _by_parts(hint)
    return lambda value: msgspec.convert(
        _with_objects(value, shape), hint, builtin_types=(bytes,), str_keys=True, dec_hook=_hook
    )


def _by_parts(hint: Any) -> Convert | None:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return converter(args[0])
    if origin in (typing.Union, types.UnionType):
        return _any_of(args)
    if origin in _SEQUENCES or origin in (set, frozenset) or (origin is tuple and args[1:] == (...,)):
        return _sequence(list if origin in _SEQUENCES else origin, args[0])
    if origin in _MAPPINGS:
        return _mapping(args[1])
    if isinstance(hint, typing.NewType):
        return converter(hint.__supertype__)
    if not inspect.isclass(hint):
        return None
    if issubclass(hint, enum.Enum):
        return hint
    return _of_dataclass(hint) if dataclasses.is_dataclass(hint) else None


def _any_of(hints: Sequence[Any]) -> Convert:
    """Return a converter to the first member of a union that fits."""
    takes_none = types.NoneType in hints
    converts = [converter(hint) for hint in hints if hint is not types.NoneType]

    def convert(value: Any) -> Any:
        if value is None and takes_none:
            return None
        if len(converts) == 1:  # its error is the most precise
            return value if converts[0] is None else converts[0](value)
        failures = []
        for each in converts:
            try:
                return value if each is None else each(value)
            except ValueError as error:
                text, place = misfit(error)
                failures.append(f"{text} (at {place.lstrip('.')})" if place else text)
        raise ValueError("; ".join(failures))

    return convert


def _sequence(kind: Callable[[Any], Any], item: Any) -> Convert:
    each = converter(item)

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"Expected `array`, got `{_name(value)}`")
        return kind([_part(each, part, f"[{number}]") for number, part in enumerate(value)])

    return convert


def _mapping(item: Any) -> Convert:
    each = converter(item)

    def convert(value: Any) -> Any:
        return {key: _part(each, part, f".{key}") for key, part in _members(value).items()}

    return convert


@functools.cache
def _of_dataclass(kind: Any) -> Convert | None:
    """Return the converter to a dataclass with a field that msgspec does not support; dataclasses may be nested."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # evaluates the user's hints, which may use names under `if TYPE_CHECKING`
        return None

    @functools.cache
    def fields() -> dict[str, Convert | None]:
        return {field.name: converter(hints[field.name]) for field in dataclasses.fields(kind) if field.init}

    def convert(value: Any) -> Any:
        members = _members(value)
        found = fields().items()
        given = {name: _part(each, members[name], f".{name}") for name, each in found if name in members}
        try:
            return kind(**given)
        except TypeError as error:
            raise ValueError(str(error)) from None

    return convert


def _members(value: Any) -> Mapping[str, Any]:
    if value == [] and isinstance(value, list):
        return {}
    if isinstance(value, dict):
        return value
    raise ValueError(f"Expected `object`, got `{_name(value)}`")


def _name(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _hook(kind: Any, value: Any) -> Any:
    """Accept instances of types that msgspec does not know."""
    model = _model(kind)
    if model is not None:
        return model(value)
    try:
        fits = isinstance(value, kind)
    except TypeError:  # a type without instance checks, such as a protocol
        return value
    if not fits:
        raise ValueError(f"Expected `{getattr(kind, '__name__', kind)}`, got `{_name(value)}`")
    return value


# --- pydantic, where it is installed ------------------------------------------------------------

_NO_OBJECT: Final = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type"})


def _model(hint: Any) -> Convert | None:
    """Return the converter for a model or a dataclass of pydantic; None for other hints."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not inspect.isclass(hint) or not hasattr(hint, "__pydantic_validator__"):
        return None
    validate = pydantic.TypeAdapter(hint).validate_python

    def convert(value: Any) -> Any:
        if isinstance(value, hint):
            return value
        try:
            return validate(value)
        except pydantic.ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            told = "; ".join(f"{_dotted(each['loc'])}{each['msg']}" for each in errors)
            empty = [each["loc"] for each in errors if each["type"] in _NO_OBJECT and each["input"] == []]
        if not empty:
            raise ValueError(told)
        for path in empty:
            value = _replaced(value, path)
        return convert(value)

    return convert


def _dotted(path: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") + (
        ": " if path else ""
    )


def _replaced(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a copy with an empty object at a path. If the path does not exist, pydantic's own error stands."""
    if not path:
        return {}
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: _replaced(value[path[0]], path[1:])}
    if isinstance(value, list) and isinstance(path[0], int) and path[0] < len(value):
        return [*value[: path[0]], _replaced(value[path[0]], path[1:]), *value[path[0] + 1 :]]
    raise ValueError("expected an object, got an empty array")


# --- empty tables -------------------------------------------------------------------------------

_OBJECTS: Final = (
    msgspec.inspect.DictType,
    msgspec.inspect.DataclassType,
    msgspec.inspect.StructType,
    msgspec.inspect.TypedDictType,
)
_ARRAYS: Final = (
    msgspec.inspect.ListType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
    msgspec.inspect.VarTupleType,
    msgspec.inspect.CollectionType,
    msgspec.inspect.TupleType,
    msgspec.inspect.NamedTupleType,
)


def _with_objects(value: Any, shape: msgspec.inspect.Type) -> Any:
    """Replace empty arrays by empty objects where only an object fits, because Lua's empty table is both."""
    if not isinstance(value, (list, dict)):
        return value
    shapes = _members_of(shape)
    if isinstance(value, list):
        if not value:
            may_be_object = any(isinstance(each, _OBJECTS) for each in shapes)
            return {} if may_be_object and not any(isinstance(each, _ARRAYS) for each in shapes) else value
        items = [each for each in shapes if isinstance(each, _ARRAYS)]
        item = getattr(items[0], "item_type", None) if len(items) == 1 else None
        return value if item is None else [_with_objects(part, item) for part in value]
    objects = [each for each in shapes if isinstance(each, _OBJECTS)]
    if len(objects) != 1:
        return value
    found: Any = objects[0]
    if isinstance(found, msgspec.inspect.DictType):
        return {key: _with_objects(part, found.value_type) for key, part in value.items()}
    fields = {field.encode_name: field.type for field in found.fields}
    return {key: _with_objects(part, fields[key]) if key in fields else part for key, part in value.items()}


def _members_of(shape: msgspec.inspect.Type) -> Sequence[msgspec.inspect.Type]:
    if isinstance(shape, msgspec.inspect.Metadata):
        return _members_of(shape.type)
    return shape.types if isinstance(shape, msgspec.inspect.UnionType) else (shape,)
