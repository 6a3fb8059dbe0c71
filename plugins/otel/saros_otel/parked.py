"""How many runs are parked, as far as this worker knows."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from .instruments import Instruments

GONE_S: Final = 900.0
"""A parked run that this worker has not tried again for so long is another worker's, or has ended."""
MOST: Final = 10_000


class ParkedRuns:
    """Remembers the runs whose last workflow task failed here."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._runs: dict[str, tuple[str, float]] = {}  # run id -> workflow type, and when it was parked last
        self._types: set[str] = set()

    def heard(self, workflow: str, run_id: str, parked: bool) -> None:
        """Hear how a workflow task ended."""
        if not parked:
            if self._runs:
                self._runs.pop(run_id, None)
            return
        self._runs.pop(run_id, None)
        self._runs[run_id] = workflow, time.monotonic()
        if len(self._runs) > MOST:
            del self._runs[next(iter(self._runs))]
        if workflow not in self._types:
            self._types.add(workflow)
            labels = {"workflow_type": workflow}
            self._instruments.measure("saros_parked_executions", labels, lambda: self.count()[workflow])

    def count(self) -> Counter[str]:
        """Parked runs by their type."""
        since = time.monotonic() - GONE_S
        return Counter(workflow for workflow, parked in list(self._runs.values()) if parked > since)
