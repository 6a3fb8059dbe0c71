"""What to export, by the standard environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from saros.model.errors import INVALID, Error

_EXPORTERS: Final = {
    "OTEL_TRACES_EXPORTER": ("otlp", "console", "none"),
    "OTEL_METRICS_EXPORTER": ("otlp", "prometheus", "console", "none"),
}


class Wanted(NamedTuple):
    """:param traces: ``otlp``, ``console``, or empty for none.
    :param metrics: ``otlp``, ``console``, or empty if metrics are not pushed.
    :param scraped: whether metrics can be scraped.
    """

    traces: str
    metrics: str
    scraped: bool


def wanted(works: bool, env: Mapping[str, str] | None = None) -> Wanted | None:
    """Return what to observe in this process; None for nothing.

    Traces and metrics are exported by OTLP if ``OTEL_EXPORTER_OTLP_ENDPOINT`` or the signal's own variable is set,
    or if ``OTEL_TRACES_EXPORTER`` or ``OTEL_METRICS_EXPORTER`` says so. A process with workers always serves its
    metrics at ``/metrics``, unless ``OTEL_METRICS_EXPORTER`` names another exporter.

    :raises Error: INVALID for an unknown exporter.
    """
    env = os.environ if env is None else env
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    traces = _exporter(env, "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    metrics = _exporter(env, "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    scraped = works and metrics in ("", "prometheus")
    metrics = metrics if works and metrics in ("otlp", "console") else ""
    traces = "" if traces == "none" else traces
    return Wanted(traces, metrics, scraped) if traces or metrics or scraped else None


def _exporter(env: Mapping[str, str], name: str, endpoint: str) -> str:
    """Return the exporter that a variable names; if it is not set, ``otlp`` with an endpoint, otherwise empty."""
    given = env.get(name, "").strip().lower()
    if not given:
        return "otlp" if env.get(endpoint) or env.get("OTEL_EXPORTER_OTLP_ENDPOINT") else ""
    if given not in _EXPORTERS[name]:
        raise Error(f"{name} is {given!r}, but must be one of {', '.join(_EXPORTERS[name])}", INVALID)
    return given
