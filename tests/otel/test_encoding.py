"""The bytes of spans: what the SDK's own encoder writes."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from saros_otel.traces.encoding import Encoder
from saros_otel.traces.ended import Ended, failed

LONG = "ä" * 200
VALUES: dict[str, Any] = {
    "text": LONG, "empty": "", "true": True, "one": 1, "minus": -1, "large": 1 << 40, "float": 1.0, "zero": 0,
    "texts": ("a", "b"), "numbers": [1, 2.5], "bytes": b"\x00\xff", "map": {"a": {"b": [True]}}, "none": None,
}  # fmt: skip
PLACE = SpanContext((1 << 128) - 1, (1 << 64) - 1, True)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"end": 1_790_000_000_000_000_001},
        {"status": failed(LONG)},
        {"status": Status(StatusCode.OK)},
        {"events": [Event("e", {"n": 1}, 5), Event(LONG, {}, 6)]},
        {"links": [Link(PLACE, {"saros.link": "signal"}), Link(PLACE)]},
    ],
)
@pytest.mark.parametrize("parent", [0, 7])
def test_spans_are_encoded_as_by_the_sdk(parent: int, more: dict[str, Any]) -> None:
    resource = Resource.create({"service.name": "shop", "n": 3})
    made = [
        Ended(PLACE.trace_id, 1, parent, LONG, kind, 1_790_000_000_000_000_000, VALUES, **more)
        for kind in SpanKind
    ]
    expected = encode_spans([span.readable(resource) for span in made])
    assert ExportTraceServiceRequest.FromString(Encoder(resource).request(made)) == expected
