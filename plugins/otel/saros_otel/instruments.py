"""Counts and measures what the observer hears, for exporters and scrapers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

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
    :ivar counting: whether counters and histograms are kept; while it is False, `count` and `record` do nothing.
    """

    def __init__(
        self, meter: Meter, registry: CollectorRegistry | None = None, counting: bool = True
    ) -> None:
        self.counting = counting
        self._gauges: dict[str, dict[Key, Callable[[], float]]] = {}
        self._sums: dict[tuple[str, str], float] = {}
        self._counts: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, tuple[Histogram, tuple[str, ...]]] = {}
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
                made = meter.create_histogram(
                    metric.name, "s", metric.text, explicit_bucket_boundaries_advisory=LATENCIES
                )
                self._histograms[metric.name] = made, metric.labels

    def count(self, name: str, values: tuple[str, ...], number: int = 1) -> None:
        """Count something; `values` are those of `Metric.labels`."""
        if self.counting:
            counts = self._counts[name]
            counts[values] = counts.get(values, 0) + number

    def record(self, name: str, values: tuple[str, ...], seconds: float) -> None:
        """Record a duration; `values` are those of `Metric.labels`."""
        if not self.counting:
            return
        if seconds < 0.0:
            seconds = 0.0
        if self._scraped is not None:
            self._scraped.record(name, values, seconds)
        else:
            histogram, names = self._histograms[name]
            histogram.record(seconds, dict(zip(names, values, strict=True)))

    def measure(self, name: str, labels: Labels, value: Callable[[], float]) -> None:
        """Read a gauge from `value` at each collection; names that are not in `METRICS` are ignored."""
        known = self._gauges.get(name)
        if known is not None:
            known[tuple(sorted(labels.items()))] = value

    def add(self, name: str, label: tuple[str, str], change: float) -> None:
        """Change a gauge with one label, whose values are kept here."""
        key = name, label[1]
        if key not in self._sums:
            self._sums[key] = 0.0
            self._gauges[name][(label,)] = partial(self._sums.__getitem__, key)
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
