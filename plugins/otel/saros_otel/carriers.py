"""Carriers and ids: which trace and span a run, an activity or a sender has.

Spans made from histories have ids that are hashes of run ids. So every process gives a span the same id, and other
spans can refer to a run's span while the run is still going on, although it is written only at the end.
"""

from __future__ import annotations

from hashlib import sha256

from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import SpanContext, TraceFlags

from saros.insight.traces import LINKED, TRACEPARENT, trace_begun_by
from saros.model.execution import Run


def span_id_of(run_id: str, activity_id: str = "") -> int:
    """The id of the span of a run, or of an activity of it."""
    return int.from_bytes(sha256(f"span:{run_id}:{activity_id}".encode()).digest()[:8], "big") or 1


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


def written(context: SpanContext) -> str:
    """Return a span as a ``traceparent``."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


class Contexts:
    """:param sampler: decides about traces that begin with a run."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def of(self, carrier: str, run_id: str, activity_id: str = "") -> SpanContext:
        """The span of a run, or of an activity of it.

        :param carrier: see `saros.model.execution.Run.trace`; empty when the trace begins with this run.
        """
        if is_linked(carrier):
            carrier = ""
        given = read(carrier)
        if given is not None:
            trace_id, flags = given.trace_id, given.trace_flags
        else:
            trace_id = trace_begun_by(carrier or run_id)
            sampled = (
                self._sampler.should_sample(None, trace_id, "run").decision == Decision.RECORD_AND_SAMPLE
            )
            flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return SpanContext(trace_id, span_id_of(run_id, activity_id), True, flags)

    def of_run(self, run: Run) -> SpanContext:
        """The span of a run. One that continues another has a trace of its own, which links to the other's."""
        return self.of("" if run.continued_from else run.trace, run.run_id)

    def parent_of(self, run: Run) -> SpanContext | None:
        """Return the parent span of a run's span, or None."""
        own = self.of_run(run)
        if run.continued_from or not run.trace or is_linked(run.trace):
            return None
        given = read(run.trace)
        if run.parent is not None and run.parent.run_id:
            return SpanContext(own.trace_id, span_id_of(run.parent.run_id), True, own.trace_flags)
        return given
