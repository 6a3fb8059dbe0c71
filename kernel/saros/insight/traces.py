"""Which trace a run belongs to, when its app is observed (see docs/observability.md)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from ..model.execution import Run

TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""A carrier of W3C: version, trace, span and flags."""
LINKED: Final = "linked:"
"""Before the carrier of a run that has a trace of its own."""


def trace_begun_by(run_id: str) -> int:
    """The id of the trace that begins with a run."""
    return int.from_bytes(sha256(f"trace:{run_id}".encode()).digest()[:16], "big") or 1


def trace_of(run: Run) -> str:
    """The id of the trace to which a run belongs, in 32 hexadecimal digits.

    A run that continues another one, or that is only linked to what started it, begins a trace, and so does a run
    without a carrier. Other carriers than a traceparent name the run with which the trace begins.
    """
    carrier = "" if run.continued_from or run.trace.startswith(LINKED) else run.trace
    given = TRACEPARENT.fullmatch(carrier)
    return given[1] if given else f"{trace_begun_by(carrier or run.run_id):032x}"
