"""The exporter: passes spans to one of the SDK's exporters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .encoding import Encoder
from .ended import Ended


class Exporter(SpanExporter):
    """Encodes spans itself if the SDK's exporter can send bytes, as that for OTLP over HTTP can from release 1.45 on.

    :param exporter: the SDK's.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource
        send = getattr(getattr(exporter, "_client", None), "export", None)
        takes_bytes = callable(send) and [*signature(send).parameters] == ["data"]
        self._send: Callable[[bytes], Any] | None = send if takes_bytes else None
        self._encoder = Encoder(resource)
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        ended = cast("Sequence[Ended]", spans)
        if self._send is None or self._closed:
            return self._exporter.export([span.readable(self._resource) for span in ended])
        sent = self._send(self._encoder.request(ended))  # it tries again, and logs a failure
        return SpanExportResult.SUCCESS if getattr(sent, "success", True) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self._closed = True
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
