"""The SDK's providers, configured by the standard environment variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from saros.model.errors import INVALID, Error

from .traces.exporter import Exporter

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def resource() -> Resource:
    """Return the resource that the environment describes; its service name defaults to ``saros``."""
    found = Resource.create()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return found if named else found.merge(Resource({SERVICE_NAME: "saros"}))


def tracing(exporter: str, about: Resource) -> tuple[TracerProvider, SpanProcessor | None]:
    """Return a provider, which reads ``OTEL_TRACES_SAMPLER``, and the processor that exports its spans, or None."""
    provider = TracerProvider(resource=about, shutdown_on_exit=False)
    processor: SpanProcessor | None = None
    if exporter == "console":
        processor = SimpleSpanProcessor(Exporter(ConsoleSpanExporter(), about))
    elif exporter:
        found = _otlp("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "trace_exporter", "OTLPSpanExporter")
        processor = BatchSpanProcessor(Exporter(found, about))
    if processor is not None:
        provider.add_span_processor(processor)
    return provider, processor


def metering(exporter: str, scraped: bool, about: Resource) -> tuple[MeterProvider, CollectorRegistry | None]:
    """Return a provider, and the collector that a scraper reads."""
    readers: list[MetricReader] = []
    registry = None
    if exporter == "console":
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter()))
    elif exporter:
        made = _otlp("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "metric_exporter", "OTLPMetricExporter")
        readers.append(PeriodicExportingMetricReader(made))
    if scraped:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        readers.append(PrometheusMetricReader(registry=registry, scope_info_enabled=False))
    return MeterProvider(readers, about, shutdown_on_exit=False), registry


def _otlp(variable: str, module: str, name: str) -> Any:
    """Return an exporter for the protocol that the environment names.

    :raises Error: INVALID if the exporter is unknown or not installed.
    """
    import importlib

    protocol = os.environ.get(variable) or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    package = {"http/protobuf": "http", "grpc": "grpc"}.get(protocol.strip().lower())
    if package is None:
        raise Error(f"{variable} is {protocol!r}, but must be http/protobuf or grpc", INVALID)
    try:
        found = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{package}.{module}")
    except ImportError:
        hint = f"pip install opentelemetry-exporter-otlp-proto-{package}"
        raise Error(f"the OTLP exporter for {protocol} is not installed", INVALID, hint=hint) from None
    return getattr(found, name)()
