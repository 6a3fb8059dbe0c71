"""Payloads. Temporal's ``json/plain`` is the plain JSON of `saros.model.values`, so most values pass unparsed.

Two values have Temporal's own encodings, as every SDK writes them: nil is ``binary/null``, and a byte string
that is a whole argument or result is ``binary/plain``. Bytes and errors *within* a value have no such encoding:
the payload is wire JSON, and its metadata (`WIRE`) says so, never its text. Other SDKs read bytes and errors as
the objects that represent them; payloads from other SDKs lack this metadata, so every key in them is only a key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import DataConverter

from saros.model.errors import INVALID, Error
from saros.model.raw import Raw
from saros.model.records import CancelRequest
from saros.model.values import NULL, Json, from_plain, to_plain

ENCODING: Final = "encoding"
JSON_PLAIN: Final = b"json/plain"
WIRE: Final = "saros-wire"
"""Metadata of a payload whose text is wire JSON."""
MAX_PAYLOAD: Final = 1_500_000
"""The largest payload in bytes; the server refuses 2 MiB, and a workflow that tries to send it is stuck."""

CONTEXT: Final = "saros-context"
SENDER: Final = "saros-sender"
MESSAGES: Final = "saros-messages"
CANCEL_REQUEST: Final = "saros-cancel"
SECRET: Final = "saros-secret"
TRACE: Final = "saros-trace"
ANSWER: Final = "saros-answer"
"""Headers: the `ctx` values (an object), the pid of the starter or sender, messages that come before any
other, the cancel requests that the previous run has not met, random bits (in hexadecimal) of which those of runs
are made; the carrier of a trace; and of a query, that the client wants an `Outcome` as its answer, because a failed
query has room for a text only."""

CANCELED_MEMO: Final = "saros.canceled"
"""The memo key of a cancelled workflow's error, for which Temporal's closing event has no room."""
_OWN: Final = "saros."


def memo_name(name: str) -> str:
    """Return Temporal's name for a user's memo key, which never collides with one of Saros's own."""
    return _OWN + name if name.startswith(_OWN) else name


def user_name(kept: str) -> str:
    """Return the user's key of a memo from its name in Temporal, which is not `CANCELED_MEMO`."""
    return kept.removeprefix(_OWN)


_BYTES: Final = b'{"$bin":"'
_array = msgspec.json.Decoder(list[Raw])
_any = msgspec.json.Decoder(Raw)
_bytes = msgspec.json.Decoder(dict[str, str])


def put_json(payload: Payload, json: Json | Raw) -> None:
    """Fill an empty payload with a wire JSON text."""
    data = bytes(json)
    if data == NULL or not data:
        payload.metadata[ENCODING] = b"binary/null"
        return
    if data.startswith(_BYTES):
        try:
            payload.data = base64.b64decode(_bytes.decode(data)["$bin"], validate=True)
        except (msgspec.DecodeError, binascii.Error, KeyError):
            pass  # it only looks like one
        else:
            payload.metadata[ENCODING] = b"binary/plain"
            return
    payload.metadata[ENCODING] = JSON_PLAIN
    payload.data, plain = to_plain(data)
    if not plain:
        payload.metadata[WIRE] = b"1"


def to_payload(json: Json | Raw) -> Payload:
    """Return the payload of a wire JSON text."""
    payload = Payload()
    put_json(payload, json)
    return payload


class PayloadList(Protocol):
    """A repeated field of payloads."""

    def add(self) -> Payload: ...


def put_all(target: PayloadList, array: Json | Raw) -> None:
    """Append one payload per item of a JSON array."""
    if array != b"[]":
        for item in _array.decode(array):
            put_json(target.add(), item)


def to_json(payload: Payload) -> Json:
    """Return the wire JSON of a payload.

    :raises Error: INVALID for encodings other than JSON, and for bad JSON.
    """
    encoding = payload.metadata.get(ENCODING, JSON_PLAIN)
    if encoding == b"binary/null":
        return NULL
    if encoding == b"binary/plain":
        return _BYTES + base64.b64encode(payload.data) + b'"}'
    if encoding not in (JSON_PLAIN, b"json/protobuf"):
        raise Error(
            f"a payload has the encoding {encoding.decode(errors='replace')}, not json/plain; "
            "is a codec missing here?",
            INVALID,
            retryable=False,
        )
    data = payload.data
    try:
        _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Error(f"a payload is not valid JSON: {exc}", INVALID, retryable=False) from exc
    return data if WIRE in payload.metadata else from_plain(data)


def raw_values(array: Json | Raw) -> list[RawValue]:
    """Return one raw value per item of a JSON array."""
    if array == b"[]":
        return []
    return [RawValue(to_payload(item)) for item in _array.decode(array)]


def payloads(array: Json | Raw) -> list[Payload]:
    """Return one payload per item of a JSON array."""
    return [to_payload(item) for item in _array.decode(array)]


def json_array(items: Iterable[Payload]) -> Raw:
    """Return the JSON array of payloads.

    :raises Error: see `to_json`.
    """
    return Raw(b"[" + b",".join([to_json(item) for item in items]) + b"]")


def json_array_of(args: Sequence[RawValue]) -> Raw:
    """Return the JSON array of raw values.

    :raises Error: see `to_json`.
    """
    return json_array(arg.payload for arg in args)


def raw_json(value: RawValue | None) -> Json:
    """Return the JSON of a raw value, or null if there is none.

    :raises Error: see `to_json`.
    """
    return NULL if value is None else to_json(value.payload)


def header(headers: Mapping[str, Payload], key: str, default: Json) -> Json:
    """Return the JSON in a header, or `default`.

    :raises Error: see `to_json`.
    """
    found = headers.get(key)
    return default if found is None else to_json(found)


def carried_cancels(headers: Mapping[str, Payload]) -> tuple[list[CancelRequest], bool]:
    """Return the cancel requests that a run has from the one before it, and whether that is of an older version.

    Those hand on one, not in a list, and their next runs get no other.

    :raises Error: see `to_json`.
    """
    found = msgspec.json.decode(
        header(headers, CANCEL_REQUEST, b"[]"), type=list[CancelRequest] | CancelRequest
    )
    return (found, False) if isinstance(found, list) else ([found], True)


def too_large(size: int) -> str:
    """Return the message about a value that Temporal would refuse."""
    return (
        f"a value of {size} bytes is too large for Temporal, whose limit is {MAX_PAYLOAD} bytes here; "
        "store it elsewhere and pass a reference"
    )


# --- reasons --------------------------------------------------------------------------------------

_BY: Final = re.compile(r"\s?\[by ([^\]]+)\]$")


def write_reason(sender: str, reason: str) -> str:
    """Return the reason of a cancel request, with the sender (``why [by pid]``): Temporal stores one text."""
    return f"{reason} [by {sender}]".strip() if sender else reason


def read_reason(text: str) -> tuple[str, str]:
    """Return the sender and the reason from a text of `write_reason`."""
    found = _BY.search(text)
    return (found.group(1), text[: found.start()]) if found else ("", text)


# --- codecs ---------------------------------------------------------------------------------------


async def encoded(converter: DataConverter, items: Sequence[Payload]) -> list[Payload]:
    """Encode payloads with the codec."""
    codec = converter.payload_codec
    return await codec.encode(items) if codec is not None and items else list(items)


async def decoded(converter: DataConverter, items: Sequence[Payload]) -> list[Payload]:
    """Decode payloads with the codec."""
    codec = converter.payload_codec
    return await codec.decode(items) if codec is not None and items else list(items)


def payloads_in(message: Message) -> Iterator[Payload]:
    """Yield every payload anywhere in a message."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                continue
            items = list(value.values())
        else:
            items = list(value) if field.is_repeated else [value]
        for item in items:
            if isinstance(item, Payload):
                yield item
            else:
                yield from payloads_in(item)
