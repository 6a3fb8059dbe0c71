"""Counts and measures what the observer hears, for exporters and scrapers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from .metrics import LATENCIES, METRICS, Key, Labels, Metric
from .scraped import ScrapedHistograms

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Instruments:
    """The instruments of one meter, by the names of `METRICS`.

    Hot paths must be cheap, and an instrument of the SDK costs twenty times as much as a sum that is kept here. So
    counters are read at each collection, and so are histograms when only a scraper asks for them.

    :param registry: of the scraper; None for exporters, which get the histograms of the SDK.
    """

    def __init__(self, meter: Meter, registry: CollectorRegistry | None = None) -> None:
        self._gauges: dict[str, dict[Key, Callable[[], float]]] = {}
        self._sums: dict[tuple[Any, ...], float] = {}
        self._counts: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, Histogram] = {}
        self._scraped: ScrapedHistograms | None = None
        if registry is not None:
            self._scraped = ScrapedHistograms([metric for metric in METRICS if metric.type == "histogram"])
            registry.register(self._scraped)
        for metric in METRICS:
            if metric.type == "counter":
                self._counts[metric.name] = {}
                counted = [self._counted(metric)]
                meter.create_observable_counter(metric.name, counted, "", metric.text)
            elif metric.type == "gauge":
                self._gauges[metric.name] = {}
                meter.create_observable_gauge(metric.name, [self._observing(metric.name)], "", metric.text)
            elif registry is None:
                self._histograms[metric.name] = meter.create_histogram(
                    metric.name, "s", metric.text, explicit_bucket_boundaries_advisory=LATENCIES
                )

    def count(self, name: str, labels: Labels, number: int = 1) -> None:
        """Count something; `labels` are in the order of `Metric.labels`."""
        counts, values = self._counts[name], tuple(labels.values())
        counts[values] = counts.get(values, 0) + number

    def record(self, name: str, labels: Labels, seconds: float) -> None:
        """Record a duration; `labels` are in the order of `Metric.labels`."""
        if self._scraped is not None:
            self._scraped.record(name, tuple(labels.values()), max(seconds, 0.0))
        else:
            self._histograms[name].record(max(seconds, 0.0), labels)

    def measure(self, name: str, labels: Labels, value: Callable[[], float]) -> None:
        """Read a gauge from `value` at each collection; names that are not in `METRICS` are ignored."""
        known = self._gauges.get(name)
        if known is not None:
            known[tuple(sorted(labels.items()))] = value

    def add(self, name: str, labels: Labels, change: float) -> None:
        """Change a gauge whose values are kept here; `labels` are sorted."""
        given = tuple(labels.items())
        key = name, *given
        if key not in self._sums:
            self._sums[key] = 0.0
            self._gauges[name][given] = partial(self._sums.__getitem__, key)
        self._sums[key] += change

    def replace(self, name: str, values: Mapping[Key, float]) -> None:
        """Replace all values of a gauge by these, which are keyed by their sorted labels."""
        self._gauges[name] = {labels: partial(float, value) for labels, value in values.items()}

    def _counted(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            counts = list(self._counts[metric.name].items())
            return [
                Observation(count, dict(zip(metric.labels, values, strict=True))) for values, count in counts
            ]

        return observe

    def _observing(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value(), dict(labels)) for labels, value in list(self._gauges[name].items())]

        return observe
