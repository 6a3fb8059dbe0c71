"""Host side of payloads: YAML and MessagePack, as the JSON of values (see `saros.values`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import yaml

from saros import values
from saros.errors import INTERNAL, Error
from saros.modules import HostFunction

#: Characters outside ASCII that end lines: PyYAML does not write them so that it reads the same.
_LINE_ENDS: Final = tuple(character.encode() for character in "\x85\u2028\u2029")


def to_yaml(wire: bytes) -> bytes:
    """Return the YAML of a value's JSON."""
    readable = not any(character in wire for character in _LINE_ENDS)
    return yaml.safe_dump(_data(values.decode(wire)), allow_unicode=readable, sort_keys=False).encode()


def to_msgpack(wire: bytes) -> bytes:
    """Return the MessagePack of a value's JSON."""
    return msgspec.msgpack.encode(_data(values.decode(wire)))


def from_yaml(text: bytes) -> bytes:
    """Return the JSON of the value of a YAML document.

    :raises Error: INTERNAL, not retryable, for what is not YAML or not data.
    """
    return _read(text, yaml.safe_load, "YAML")


def from_msgpack(data: bytes) -> bytes:
    """Return the JSON of the value of a MessagePack text.

    :raises Error: INTERNAL, not retryable, for what is not MessagePack or not data.
    """
    return _read(data, msgspec.msgpack.decode, "MessagePack")


def _read(data: bytes, parse: Callable[[bytes], Any], name: str) -> bytes:
    try:
        value = parse(data)
    except (yaml.YAMLError, msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise _failed(f"not valid {name}: {exc}") from exc
    try:
        return values.encode(value)
    except Error as exc:
        raise _failed(exc.message) from exc


def _data(value: Any) -> Any:
    """Return a value with its errors as maps, for formats that know no errors."""
    if isinstance(value, dict):
        return {key: _data(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_data(item) for item in value]
    if isinstance(value, Error):
        fields = {"message": str(value), "kind": value.kind or None, "retryable": value.retryable}
        fields["details"] = _data(value.details)
        return {key: item for key, item in fields.items() if item is not None}
    return value


def _failed(message: str) -> Error:
    return Error(message, INTERNAL, retryable=False)


HOST: dict[str, HostFunction] = {
    "payload_to_yaml": to_yaml,
    "payload_to_msgpack": to_msgpack,
    "payload_from_yaml": from_yaml,
    "payload_from_msgpack": from_msgpack,
}
