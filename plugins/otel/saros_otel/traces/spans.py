"""Spans of operations in progress.

A tracer of the SDK would make them, too, but takes several times as long: for each span it locks, copies attributes
and looks at limits, although hardly any code touches its span.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace as api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, attach
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from .ended import SAMPLED, Ended

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue


class LiveSpan(api.Span):
    """A span that has begun. The code of an activity may add to the span of its attempt."""

    __slots__ = ("_maker", "_record")

    def __init__(self, maker: Spans, record: Ended) -> None:
        self._maker: Spans | None = maker
        self._record = record

    @property
    def carrier(self) -> str:
        """The span as a W3C ``traceparent``."""
        return f"00-{self._record.trace_id:032x}-{self._record.span_id:016x}-01"

    def enter(self) -> None:
        """Make this the current span of the present context."""
        attach(api.set_span_in_context(self))

    def get_span_context(self) -> SpanContext:
        return SpanContext(self._record.trace_id, self._record.span_id, False, SAMPLED)

    def is_recording(self) -> bool:
        return self._maker is not None

    def update_name(self, name: str) -> None:
        if self._maker is not None:
            self._record.name = name

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        if self._maker is not None:
            if not isinstance(self._record.attributes, BoundedAttributes):
                self._record.attributes = self._maker.bounded(self._record.attributes)
            self._record.attributes[key] = value  # it also checks the value's type

    def add_event(
        self, name: str, attributes: Mapping[str, AnyValue] | None = None, timestamp: int | None = None
    ) -> None:
        if self._maker is not None and len(self._record.events) < self._maker.most_events:
            event = Event(name, self._maker.bounded(attributes or {}), timestamp or time.time_ns())
            self._record.events = [*self._record.events, event]

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        given = status if isinstance(status, Status) else Status(status, description)
        unset = given.status_code is StatusCode.UNSET
        if self._maker is not None and not unset and self._record.status.status_code is not StatusCode.OK:
            self._record.status = given

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, AnyValue] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        about: dict[str, AnyValue] = {
            "exception.type": type(exception).__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
            **(attributes or {}),
        }
        self.add_event("exception", about, timestamp)

    def end(self, end_time: int | None = None) -> None:
        maker, self._maker = self._maker, None
        if maker is not None:
            self._record.end = end_time or time.time_ns()
            maker.ended(self._record)


class Unsampled:
    """An operation without a span, because its trace is not sampled."""

    __slots__ = ("_span_id", "_trace_id")

    def __init__(self, trace_id: int, span_id: int) -> None:
        self._trace_id = trace_id
        self._span_id = span_id

    @property
    def carrier(self) -> str:
        """See `LiveSpan.carrier`. No span below it is sampled, either."""
        return f"00-{self._trace_id:032x}-{self._span_id:016x}-00"

    def enter(self) -> None:
        """See `LiveSpan.enter`."""
        attach(api.set_span_in_context(NonRecordingSpan(SpanContext(self._trace_id, self._span_id, True))))


class Spans:
    """Makes spans, and passes those that have ended to a processor."""

    def __init__(self, provider: TracerProvider, processor: SpanProcessor) -> None:
        self._processor = processor
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        # The environment can only name samplers that follow the parent, or that look at nothing but the trace's id.
        self._follows_parents = isinstance(self._sampler, ParentBased)
        limits = SpanLimits()
        self._most_attributes = limits.max_span_attributes
        self._longest = limits.max_span_attribute_length
        self.most_events = limits.max_events or 128

    def start(
        self, name: str, parent: SpanContext | None, kind: SpanKind, attributes: Mapping[str, Any]
    ) -> LiveSpan | Unsampled:
        """Begin a span.

        :param parent: None if a trace begins with the span.
        """
        if parent is None:
            trace_id, parent_id, sampled = self._ids.generate_trace_id(), 0, None
        else:
            trace_id, parent_id, sampled = parent.trace_id, parent.span_id, parent.trace_flags.sampled
        return self.within(trace_id, parent_id, sampled, name, kind, attributes)

    def within(
        self,
        trace_id: int,
        parent_id: int,
        sampled: bool | None,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> LiveSpan | Unsampled:
        """Begin a span.

        :param parent_id: 0 if the trace begins with the span.
        :param sampled: whether the parent is; None without a parent.
        """
        if sampled is None or not self._follows_parents:
            decided = self._sampler.should_sample(Context(), trace_id, name, kind)
            sampled = decided.decision == Decision.RECORD_AND_SAMPLE
        if not sampled:
            return Unsampled(trace_id, parent_id or self._ids.generate_span_id())
        span_id = self._ids.generate_span_id()
        return LiveSpan(self, Ended(trace_id, span_id, parent_id, name, kind, time.time_ns(), attributes))

    def ended(self, span: Ended) -> None:
        self._processor.on_end(cast(ReadableSpan, span))  # `Exporter` knows what it is

    def bounded(self, attributes: Mapping[str, Any]) -> BoundedAttributes:
        """Return attributes that can grow within the limits of the environment."""
        return BoundedAttributes(
            self._most_attributes, dict(attributes), immutable=False, max_value_len=self._longest
        )
