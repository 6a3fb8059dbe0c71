"""Replaying an exported history against the app's present code."""

from __future__ import annotations

from typing import Any

from ..interfaces.deployment import Deployment
from ..model.presentation import import_history
from .live import load


def replay(document: Any, deployment: Deployment) -> int:
    """Replay a document against the app's present code; return the number of events.

    :raises NonDeterminism: when the code no longer matches.
    :raises Error: when the document or the code is invalid.
    """
    run, records = import_history(document)
    load(run, deployment, records).close()
    return len(records)
