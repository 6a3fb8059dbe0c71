"""Replaying a history, in parts or in one go, and an exported one against the app's present code."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from ..interfaces.deployment import Deployment
from ..model.errors import NonDeterminism
from ..model.execution import Record, Run
from ..model.presentation import import_history
from .live import Live


def loading(run: Run, deployment: Deployment, records: Sequence[Record]) -> Generator[None, None, Live]:
    """Make a live execution from a run's whole history, in parts (see `saros.model.turns`).

    :raises NonDeterminism: with the Lua line, which a second replay with a trace finds.
    """
    live = Live(run, deployment)
    try:
        yield from live.replay(records)
    except NonDeterminism as mismatch:
        live.close()
        if mismatch.where is not None and mismatch.where != live.entry.where():
            raise
        traced = Live(run, deployment, trace=True)
        try:
            yield from traced.replay(records)
        finally:
            traced.close()
        raise
    except BaseException:
        live.close()
        raise
    return live


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
