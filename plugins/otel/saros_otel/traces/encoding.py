"""Spans as messages of OTLP.

The encoder of the SDK's exporters makes an object of each field, which takes longer than all other work for a span.
This one writes the bytes of protobuf. A test compares what both write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from .ended import OK, Ended

# The numbers and types of the fields are those of opentelemetry/proto/trace/v1/trace.proto. A tag is the number of a
# field, shifted by three bits, and its type: 0 for a varint, 1 for eight bytes, 2 for a length and bytes, 5 for four.
_TIMES: Final = Struct("<BQBQ").pack
_FIXED64: Final = Struct("<Q").pack
_DOUBLE: Final = Struct("<d").pack
_KINDS: Final = {kind: bytes((0x30, kind.value + 1)) for kind in SpanKind}
_REMOTE: Final = (0x300).to_bytes(4, "little")  # of a parent or link: it may be in another process
_LOCAL: Final = (0x100).to_bytes(4, "little")
_UNSET_ROOT: Final = b"\x7a\x00\x85\x01" + _LOCAL
_UNSET_CHILD: Final = b"\x7a\x00\x85\x01" + _REMOTE
_ONE_BYTE: Final = [bytes((number,)) for number in range(128)]


class Encoder:
    """Encodes spans of one resource."""

    def __init__(self, resource: Resource) -> None:
        (around,) = encode_spans(
            [Ended(1, 1, 0, "", SpanKind.INTERNAL, 0, {}).readable(resource)]
        ).resource_spans
        del around.scope_spans[0].spans[:]
        self._scope = around.scope_spans[0].SerializeToString()
        around.ClearField("scope_spans")
        self._resource = around.SerializeToString()

    def request(self, spans: Sequence[Ended]) -> bytes:
        """Return an ``ExportTraceServiceRequest``."""
        inner = b"".join([self._scope, *[_field(b"\x12", span_of(span)) for span in spans]])
        return _field(b"\x0a", self._resource + _field(b"\x12", inner))


def span_of(span: Ended) -> bytes:
    parts = [b"\x0a\x10", span.trace_id.to_bytes(16, "big"), b"\x12\x08", span.span_id.to_bytes(8, "big")]
    if span.parent_id:
        parts += b"\x22\x08", span.parent_id.to_bytes(8, "big")
    parts += _name(span.name), _KINDS[span.kind], _TIMES(0x39, span.start, 0x41, span.end or 0)
    parts += _attributes(b"\x4a", span.attributes)
    dropped = getattr(span.attributes, "dropped", 0)
    if dropped:
        parts += b"\x50", _varint(dropped)
    if span.events:
        parts += [_field(b"\x5a", _event(event)) for event in span.events]
    if span.links:
        parts += [_field(b"\x6a", _link(link)) for link in span.links]
    if span.status is OK:
        parts.append(_UNSET_CHILD if span.parent_id else _UNSET_ROOT)
    else:
        parts += _status(span.status), b"\x85\x01", _REMOTE if span.parent_id else _LOCAL
    return b"".join(parts)


def _event(event: Event) -> bytes:
    parts = [b"\x09", _FIXED64(event.timestamp), _text(b"\x12", event.name)]
    return b"".join([*parts, *_attributes(b"\x1a", event.attributes or {})])


def _link(link: Link) -> bytes:
    context = link.context
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
    ]
    parts += _attributes(b"\x22", link.attributes or {})
    return b"".join([*parts, b"\x35", _REMOTE if context.is_remote else _LOCAL])


def _status(status: Status) -> bytes:
    text = _text(b"\x12", status.description) if status.description else b""
    code = b"\x18" + _varint(status.status_code.value) if status.status_code is not StatusCode.UNSET else b""
    return _field(b"\x7a", text + code)


# --- attributes -----------------------------------------------------------------------------------


def _attributes(tag: bytes, attributes: Mapping[str, Any]) -> list[bytes]:
    return [
        _scalar(tag, key, value) if type(value) in _SCALARS else _attribute(tag, key, value)
        for key, value in attributes.items()
    ]


def _attribute(tag: bytes, key: str, value: Any) -> bytes:
    return _field(tag, _text(b"\x0a", key) + _field(b"\x12", _value(value)))


_scalar: Final = lru_cache(8192, typed=True)(_attribute)  # the spans of a run have the same ids
_name: Final = lru_cache(1024)(lambda name: _text(b"\x2a", name))
_SCALARS: Final = frozenset({str, int, bool})


def _value(value: Any) -> bytes:
    """Encode an ``AnyValue``."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, Mapping):
        pairs = {str(key): item for key, item in value.items()}
        return _field(b"\x32", b"".join(_attributes(b"\x0a", pairs)))
    if isinstance(value, Sequence):
        return _sequence(value)
    return _text(b"\x0a", str(value))


def _sequence(values: Iterable[Any]) -> bytes:
    return _field(b"\x2a", b"".join([_field(b"\x0a", _value(value)) for value in values]))


_WRITERS: Final[dict[type, Callable[[Any], bytes]]] = {
    str: lambda value: _text(b"\x0a", value),
    bool: lambda value: b"\x10\x01" if value else b"\x10\x00",
    int: lambda value: b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF),
    float: lambda value: b"\x21" + _DOUBLE(value),
    bytes: lambda value: _field(b"\x3a", value),
    type(None): lambda value: b"",
    tuple: _sequence,
    list: _sequence,
}


# --- bytes ----------------------------------------------------------------------------------------


def _text(tag: bytes, text: str) -> bytes:
    data = text.encode(errors="replace")
    return tag + _varint(len(data)) + data


def _field(tag: bytes, data: bytes) -> bytes:
    return tag + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    if number < 128:
        return _ONE_BYTE[number]
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
