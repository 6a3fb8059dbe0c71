"""Values that cross a boundary, and their JSON.

A value is data: ``None``, ``bool``, a 64-bit ``int``, a finite ``float``, ``str``, ``bytes``, a list, a
dict with string keys, or an `Error`. Inside Saros (in histories, stores and programs) it is *wire* JSON;
values that JSON lacks are objects with one reserved key:

    bytes            {"$bin": "<base64>"}
    error            {"$error": {"message": ..., "kind": ..., ...}}
    such an object   {"$$bin": ...}     (one more "$" in front of the key)

JSON outside Saros is *plain*: no key has a special meaning. `from_plain` converts what users, clients and
other SDKs send to wire JSON; `to_plain` converts what they receive to plain JSON.

``3`` and ``3.0`` stay distinct because JSON text keeps the decimal point.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from .errors import INVALID, Error, ErrorData
from .objects import INT_MAX, INT_MIN, RESERVED, error_form, plain_data, refused, text_of
from .raw import ABSENT, Raw

Json = bytes
"""UTF-8 JSON text of one value."""

_TAGS: Final = frozenset({"$bin", "$error"})
_DIGITS: Final = bytes(49 if 48 <= char <= 57 else 32 for char in range(256))
_LONG: Final = b"1" * 19
"""Any 19 digits, after translation with `_DIGITS`."""
_SHORT: Final = b'"\\\b\t\n\f\r'
_ESCAPES: Final = bytes(1 if char in _SHORT else 2 if char < 32 else 0 for char in range(256))
_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode
NULL: Final[Json] = b"null"
LARGEST: Final = (16 << 20) - (64 << 10)
"""Bytes of the JSON of a value, or of all arguments of a call: what a Lua program can take at once, with the rest of
the event that brings them. Some backends take less."""


def _may_reserve(text: Json | Raw) -> bool:
    """Return whether a JSON text may have a reserved key.

    A text can have megabytes, so these are searches for plain bytes: a regular expression takes 20 times as long.
    """
    data = text if type(text) is bytes else bytes(text)
    return b"$" in data or b"\\u0024" in data


def _is_special(text: Json | Raw) -> bool:
    """Return whether a JSON text needs a closer look, because of a reserved key or a long number."""
    data = text if type(text) is bytes else bytes(text)
    if b"$" in data:
        return True
    return len(data) > 18 and (b"\\u0024" in data or _LONG in data.translate(_DIGITS))


def quoted_size(text: bytes) -> int:
    """Return the bytes of the JSON of a UTF-8 text, in a tenth of the time in which it can be written."""
    escapes = text.translate(_ESCAPES)
    return 2 + len(text) + escapes.count(1) + 5 * escapes.count(2)


def encode(value: Any) -> Json:
    """Return the JSON of a value.

    Also accepted, as the data that they represent: tuples, dataclasses, msgspec structs, pydantic models, enums (by
    value), decimals (as text), dates and UUIDs.

    :raises Error: INVALID, with the path to the part that is not data.
    """
    return _encoded(value, "value")


def _encoded(value: Any, path: str) -> Json:
    try:
        return _to_json(plain_data(value, path, 0))
    except Error:
        raise
    except BaseException as exc:  # the value's own code, such as a mapping's items(), may do anything
        what = f"what cannot be read ({type(exc).__name__}: {text_of(exc)})"
        raise refused(path, what) from exc


def encode_args(args: tuple[Any, ...] | list[Any], what: str = "the arguments have", beside: int = 0) -> Json:
    """Return the JSON array of a call's arguments; paths in errors start at ``argument 1``.

    :param what: see `bounded`, as for `beside`.
    :raises Error: INVALID for arguments that are not data, or have more than `LARGEST` bytes.
    """
    items = [_encoded(value, f"argument {index}") for index, value in enumerate(args, 1)]
    return bounded(b"[%b]" % b",".join(items), what, beside)


def bounded(json: Json, what: str, beside: int = 0) -> Json:
    """Return the JSON of a value that programs can take.

    :param what: the subject and verb of the error.
    :param beside: the bytes of what the program takes together with it.
    :raises Error: INVALID for more than `LARGEST` bytes.
    """
    size = len(json) + beside
    if size > LARGEST:
        why = f"{what} {size:,} bytes, and the limit is {LARGEST:,}"
        raise Error(f"{why}; store it elsewhere and pass a reference", INVALID, retryable=False)
    return json


def decode(data: Json | msgspec.Raw) -> Any:
    """Return the value of a JSON text that `encode`, or any other JSON writer, made.

    :raises Error: INVALID when the text is not JSON.
    """
    try:
        value = _from_json(data)
        kind = type(value)
        if kind is dict or kind is list:
            return _rich(value) if _is_special(data) else value
        return _number(value) if kind is int else value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Error(f"not valid JSON: {exc}", INVALID, retryable=False) from exc


def from_plain(text: Json) -> Json:
    """Return the wire JSON of a plain JSON text, in which keys that look reserved are ordinary keys.

    :raises Error: INVALID when the text is not JSON.
    """
    if not _may_reserve(text):
        return text
    try:
        return _to_json(_escaped(_from_json(text)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Error(f"not valid JSON: {exc}", INVALID, retryable=False) from exc


def to_plain(wire: Json) -> tuple[Json, bool]:
    """Return the plain JSON of wire JSON, and True; or, if it holds bytes or errors, the wire JSON and False."""
    if not _may_reserve(wire):
        return wire, True
    found = _from_json(wire)
    return (wire, False) if _has_tags(found) else (_to_json(_unescaped(found)), True)


def shown(wire: Json) -> Any:
    """Return the JSON data of wire JSON, for people and for output that is never read back: bytes and errors
    stay objects with a reserved key.
    """
    found = _from_json(wire)
    return _unescaped(found) if _may_reserve(wire) else found


def readable(wire: Json | Raw) -> Raw:
    """Return the result of `shown` as JSON."""
    return Raw(_to_json(shown(bytes(wire)))) if _may_reserve(wire) else Raw(wire)


def members(wire: Json | Raw) -> dict[str, Raw]:
    """Return the members of an object, each with its wire JSON."""
    return named(_members(wire))


def named(found: dict[str, Raw]) -> dict[str, Raw]:
    """Return the members of an object with their plain names."""
    if len(found) == 1:
        ((name, item),) = found.items()
        if name.startswith("$$") and RESERVED.fullmatch(name):
            return {name[1:]: item}
    return found


def object_of(found: dict[str, Raw]) -> Json:
    """Return the wire JSON of an object from its `members`."""
    if len(found) == 1 and RESERVED.fullmatch(next(iter(found))):
        found = {"$" + name: item for name, item in found.items()}
    return _to_json(found)


def same_json(one: Json, other: Json) -> bool:
    """True if two JSON texts have the same value, however they are written (3 and 3.0 differ)."""
    try:
        return bool(_spelled(_from_json(one)) == _spelled(_from_json(other)))
    except msgspec.DecodeError:
        return False


def _spelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return (type(value), value)


def error_data(error: Error) -> ErrorData:
    """Return the boundary form of an exception. Never raises: details that are not data are left out, and the
    message says so.
    """
    details, why = ABSENT, ""
    if error.details is not None:
        try:
            details = Raw(bounded(_encoded(error.details, "details"), "the details have"))
        except Error as refused:
            why = f" ({text_of(refused)})"
    return error_form(error, details, why)


def to_error(data: ErrorData) -> Error:
    """Return the exception of a boundary form."""
    details = decode(data.details) if data.details else None
    return Error(
        data.message,
        data.kind,
        retryable=data.retryable,
        details=details,
        stack=data.stack,
        context=data.context,
    )


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, item),) = value.items()
            if RESERVED.fullmatch(key):
                return _rich_tagged(key, item)
        return {key: _rich(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rich(item) for item in value]
    return _number(value)


def _rich_tagged(key: str, item: Any) -> Any:
    if key == "$bin" and isinstance(item, str):
        try:
            return base64.b64decode(item, validate=True)
        except (binascii.Error, ValueError):  # ValueError: characters outside ASCII
            return {key: item}
    if key == "$error" and isinstance(item, dict):
        details = item.pop("details", None)
        try:
            error = to_error(msgspec.convert(item, ErrorData))
        except msgspec.ValidationError:
            return {key: _rich(item if details is None else {**item, "details": details})}
        error.details = _rich(details)
        return error
    return {key[1:] if key.startswith("$$") else key: _rich(item)}


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        escaped = {key: _escaped(item) for key, item in value.items()}
        if len(escaped) == 1:
            ((key, item),) = escaped.items()
            if RESERVED.fullmatch(key):
                return {"$" + key: item}
        return escaped
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return _number(value)


def _unescaped(value: Any) -> Any:
    if isinstance(value, dict):
        made = {key: _unescaped(item) for key, item in value.items()}
        if len(made) == 1:
            ((key, item),) = made.items()
            if key.startswith("$$") and RESERVED.fullmatch(key):
                return {key[1:]: item}
        return made
    if isinstance(value, list):
        return [_unescaped(item) for item in value]
    return _number(value)


def _has_tags(value: Any) -> bool:
    if isinstance(value, dict):
        return (len(value) == 1 and next(iter(value)) in _TAGS) or any(map(_has_tags, value.values()))
    return isinstance(value, list) and any(map(_has_tags, value))


def _number(value: Any) -> Any:
    """Return a number as read; an integer of more than 64 bits becomes what Lua reads."""
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        try:
            return float(value)
        except OverflowError:
            raise Error("not valid JSON: a number out of range", INVALID, retryable=False) from None
    return value
