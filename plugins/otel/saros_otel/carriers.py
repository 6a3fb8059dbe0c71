"""Carriers and ids: which trace and span a run, an activity or a sender has.

Spans made from histories have ids that are hashes of run ids. So every process gives a span the same id, and other
spans can refer to a run's span while the run is still going on, although it is written only at the end.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final
from zlib import crc32

from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import SpanContext, TraceFlags

from saros.insight.traces import LINKED, TRACEPARENT, trace_begun_by
from saros.model.execution import Run

_MOST: Final = 10_000
_ALL: Final = (1 << 64) - 1
_NAMED: Final = 1 << 40  # apart from the numbers of activities without names
_SPREAD: Final = 0x9E37_79B9_7F4A_7C15  # odd, so that different numbers give different ids


@lru_cache(4096)
def span_id_of(run_id: str) -> int:
    """The id of the span of a run."""
    return int.from_bytes(sha256(f"span:{run_id}".encode()).digest()[:8], "big") or 1


def activity_span_id_of(run_id: str, activity_id: str) -> int:
    """The id of the span of an activity."""
    plain = len(activity_id) < 10 and activity_id.isdecimal() and activity_id[0] != "0"
    number = int(activity_id) if plain else crc32(activity_id.encode()) | _NAMED
    return (span_id_of(run_id) + number * _SPREAD) & _ALL or 1


def is_linked(carrier: str) -> bool:
    """Return whether the run has a trace of its own, with a link to what the carrier names."""
    return carrier.startswith(LINKED)


def linked(carrier: str) -> str:
    """Return the carrier for a run that has a trace of its own."""
    return carrier if not carrier or is_linked(carrier) else LINKED + carrier


def read(carrier: str) -> SpanContext | None:
    """Return the span that a W3C ``traceparent`` names, perhaps as a link; None if the text is not a valid one."""
    found = TRACEPARENT.fullmatch(carrier.removeprefix(LINKED))
    if found is None:
        return None
    context = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16)))
    return context if context.is_valid else None


class Contexts:
    """:param sampler: decides about traces that begin with a run."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._traces: dict[str, tuple[int, bool]] = {}

    def trace(self, carrier: str, run_id: str) -> tuple[int, bool]:
        """Return the trace of a run, and whether it is sampled.

        :param carrier: see `saros.model.execution.Run.trace`; empty when the trace begins with this run.
        """
        key = run_id if not carrier or is_linked(carrier) else carrier
        found = self._traces.get(key)
        if found is None:
            if len(self._traces) >= _MOST:
                self._traces.clear()
            found = self._traces[key] = self._read(key)
        return found

    def _read(self, key: str) -> tuple[int, bool]:
        given = read(key)
        if given is not None:
            return given.trace_id, given.trace_flags.sampled
        trace_id = trace_begun_by(key)
        decided = self._sampler.should_sample(None, trace_id, "run").decision
        return trace_id, decided == Decision.RECORD_AND_SAMPLE

    def trace_of(self, run: Run) -> tuple[int, bool]:
        """See `trace`. A run that continues another has a trace of its own, which links to the other's."""
        return self.trace("" if run.continued_from else run.trace, run.run_id)

    def of_run(self, run: Run) -> SpanContext:
        """The span of a run."""
        trace_id, sampled = self.trace_of(run)
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return SpanContext(trace_id, span_id_of(run.run_id), True, flags)


def parent_of(run: Run) -> int:
    """Return the id of the span above a run's span; 0 if there is none."""
    if run.continued_from or not run.trace or is_linked(run.trace):
        return 0
    if run.parent is not None and run.parent.run_id:
        return span_id_of(run.parent.run_id)
    given = read(run.trace)
    return given.span_id if given is not None else 0
