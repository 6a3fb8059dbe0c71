"""Spans that have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

SCOPE: Final = InstrumentationScope("saros")
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
OK: Final = Status(StatusCode.UNSET)


def failed(text: str) -> Status:
    """The status of an operation that failed."""
    return Status(StatusCode.ERROR, text)


class Ended:
    """What is known of a span; the SDK's `ReadableSpan` says the same in many more objects.

    :param parent_id: 0 if the trace begins with the span.
    :ivar end: None while the span is in progress.
    :cvar context: what a processor of the SDK looks at, to see that the span is sampled: others are never made.
    """

    __slots__ = (
        "attributes", "end", "events", "kind", "links", "name", "parent_id", "span_id", "start", "status", "trace_id",
    )  # fmt: skip
    context: Final = SpanContext(1, 1, False, SAMPLED)

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        parent_id: int,
        name: str,
        kind: SpanKind,
        start: int,
        attributes: Mapping[str, Any],
        end: int | None = None,
        status: Status = OK,
        events: Sequence[Event] = (),
        links: Sequence[Link] = (),
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.name = name
        self.kind = kind
        self.start = start
        self.attributes: Any = attributes
        self.end = end
        self.status = status
        self.events = events
        self.links = links

    def readable(self, resource: Resource) -> ReadableSpan:
        """Return the span as the SDK's exporters want it."""
        parent = SpanContext(self.trace_id, self.parent_id, True, SAMPLED) if self.parent_id else None
        return ReadableSpan(
            self.name,
            SpanContext(self.trace_id, self.span_id, False, SAMPLED),
            parent,
            resource,
            self.attributes,
            self.events,
            self.links,
            self.kind,
            status=self.status,
            start_time=self.start,
            end_time=self.end,
            instrumentation_scope=SCOPE,
        )
