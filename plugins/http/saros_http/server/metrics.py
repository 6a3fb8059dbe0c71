"""Request metrics in the text format of Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""

Labels = tuple[str, str, str, int]
"""Server, method, route, status."""

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """The metrics of all servers of one app. The route label is a pattern, so that clients cannot create labels."""

    def __init__(self) -> None:
        self.active = 0
        self._counts: dict[Labels, list[int]] = {}  # by bucket, not cumulative
        self._sums: dict[Labels, float] = {}

    def note(self, server: str, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        labels = (server, method if method in _METHODS else "other", route, status)
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(BUCKETS) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[labels] += seconds

    def text(self) -> str:
        """Return all metrics."""
        lines = [
            "# HELP saros_http_requests_active Requests in progress.",
            "# TYPE saros_http_requests_active gauge",
            f"saros_http_requests_active {self.active}",
            "# HELP saros_http_requests_total Requests that have ended.",
            "# TYPE saros_http_requests_total counter",
        ]
        for labels, counts in self._counts.items():
            lines.append(f"saros_http_requests_total{{{_labels(labels)}}} {sum(counts)}")
        name = "saros_http_request_duration_seconds"
        lines += [
            f"# HELP {name} From a request's head to the end of its response.",
            f"# TYPE {name} histogram",
        ]
        for labels, counts in self._counts.items():
            total, text = 0, _labels(labels)
            for bound, count in zip((*map(repr, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                lines.append(f'{name}_bucket{{{text},le="{bound}"}} {total}')
            lines.append(f"{name}_sum{{{text}}} {self._sums[labels]:.6f}")
            lines.append(f"{name}_count{{{text}}} {total}")
        return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    server, method, route, status = labels
    return f'server="{_quoted(server)}",method="{method}",route="{_quoted(route)}",status="{status}"'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
