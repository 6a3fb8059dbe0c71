"""Counts of requests, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds, in seconds."""
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_LABELS: Final = ("server", "method", "route", "status")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """The metrics of all servers of one app. The route label is a pattern, so that clients cannot create labels."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.active = Gauge("saros_http_requests_active", "Requests in progress.", registry=registry)
        self._ended = Counter("saros_http_requests", "Requests that have ended.", _LABELS, registry=registry)
        self._durations = Histogram(
            "saros_http_request_duration_seconds",
            "From a request's head to the end of its response.",
            _LABELS,
            buckets=BUCKETS,
            registry=registry,
        )

    def note(self, server: str, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request that has ended."""
        labels = (server, method if method in _METHODS else "other", route, str(status))
        self._ended.labels(*labels).inc()
        self._durations.labels(*labels).observe(seconds)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
