"""Histograms for a scraper of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from .metrics import LATENCIES, Metric

_BOUNDS: Final = (*map(str, LATENCIES), "+Inf")


class _Buckets:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.total = 0.0


class ScrapedHistograms(Collector):
    """:param metrics: the histograms."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)
        self._found: dict[str, dict[tuple[str, ...], _Buckets]] = {each.name: {} for each in self._metrics}

    def record(self, name: str, labels: tuple[str, ...], seconds: float) -> None:
        known = self._found[name]
        buckets = known.get(labels)
        if buckets is None:
            buckets = known[labels] = _Buckets()
        buckets.counts[bisect_left(LATENCIES, seconds)] += 1
        buckets.total += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        for metric in self._metrics:
            family = HistogramMetricFamily(f"{metric.name}_seconds", metric.text, labels=metric.labels)
            for labels, buckets in list(self._found[metric.name].items()):
                cumulative = list(zip(_BOUNDS, accumulate(buckets.counts), strict=True))
                family.add_metric(labels, cumulative, buckets.total)
            yield family
