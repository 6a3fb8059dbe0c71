"""Replaying a history in one go, and an exported one against the app's present code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..interfaces.deployment import Deployment
from ..model.execution import Record, Run
from ..model.presentation import import_history
from .live import Live, loading


def load(run: Run, deployment: Deployment, records: Sequence[Record]) -> Live:
    """Do the work of `loading`, all of it at once."""
    parts = loading(run, deployment, records)
    while True:
        try:
            next(parts)
        except StopIteration as end:
            live: Live = end.value
            return live


def replay(document: Any, deployment: Deployment) -> int:
    """Replay a document against the app's present code; return the number of events.

    :raises NonDeterminism: when the code no longer matches.
    :raises Error: when the document or the code is invalid.
    """
    run, records = import_history(document)
    load(run, deployment, records).close()
    return len(records)
