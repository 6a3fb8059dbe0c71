"""Host side of payloads: YAML and MessagePack, as the JSON of values (see `saros.model.values`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import yaml

from saros.interfaces.module import HostFunction
from saros.model import values
from saros.model.errors import INTERNAL, Error

MAX_YAML: Final = 16384  # bytes; the worker's other programs wait up to some 50 ms meanwhile
MAX_NODES: Final = 20_000  # of a YAML document
MAX_MSGPACK: Final = 20_000
"""Values in one MessagePack text: reading or writing them holds the event loop for about 50 ms."""
MAX_MERGED: Final = 20  # maps of one merge key
_Dumper: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A loader that limits the expansion of merge keys: each may double the one before."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, value in node.value:
            if (
                key.tag == "tag:yaml.org,2002:merge"
                and len(value.value) > MAX_MERGED
                and value.id == "sequence"
            ):
                raise yaml.constructor.ConstructorError(
                    None, None, f"more than {MAX_MERGED} maps are merged", node.start_mark
                )
        super().flatten_mapping(node)
        if len(node.value) > MAX_YAML:
            raise yaml.constructor.ConstructorError(
                None, None, "merge keys expand to too much", node.start_mark
            )


#: Characters outside ASCII that end lines: PyYAML does not write them in a form that it reads back.
_LINE_ENDS: Final = tuple(character.encode() for character in "\x85\u2028\u2029")


def to_yaml(wire: bytes) -> bytes:
    """Return the YAML of a value's JSON."""
    _check_size(wire, "JSON that is to become YAML")
    readable = not any(character in wire for character in _LINE_ENDS)
    data = _data(values.decode(wire))
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=readable, sort_keys=False)
    return text.encode()


def to_msgpack(wire: bytes) -> bytes:
    """Return the MessagePack of a value's JSON."""
    value = values.decode(wire)
    _check_nodes(value, MAX_MSGPACK, "this value for MessagePack has")
    return msgspec.msgpack.encode(_data(value))


def from_yaml(text: bytes) -> bytes:
    """Return the JSON of the value of a YAML document.

    :raises Error: INTERNAL, not retryable, for text that is not YAML, or not data.
    """
    _check_size(text, "YAML")
    return _read(text, _load_yaml, "YAML")


def _load_yaml(text: bytes) -> Any:
    value = yaml.load(text, Loader=_Loader)
    _check_nodes(value, MAX_NODES, "its aliases expand to")
    return value


def _check_size(text: bytes, what: str) -> None:
    if len(text) > MAX_YAML:
        raise _failed(f"{len(text)} bytes of {what}; the limit is {MAX_YAML}; use JSON for more")


def _check_nodes(value: Any, limit: int, what: str) -> None:
    """Refuse a value that contains more than `limit` values."""
    waiting, count = [value], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count + len(waiting) > limit:
            raise _failed(f"{what} more than {limit} values")
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def from_msgpack(data: bytes) -> bytes:
    """Return the JSON of the value of a MessagePack text.

    :raises Error: INTERNAL, not retryable, for text that is not MessagePack, or not data.
    """
    return _read(data, _load_msgpack, "MessagePack")


def _load_msgpack(data: bytes) -> Any:
    value = msgspec.msgpack.decode(data)
    _check_nodes(value, MAX_MSGPACK, "this MessagePack has")
    return value


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
    """Return a value with its errors as maps, for formats that have no errors."""
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
