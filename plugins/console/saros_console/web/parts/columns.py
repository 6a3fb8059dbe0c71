"""The columns of the list of executions, as chosen by the URL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from saros.model.execution import Description

TITLES: Final = {
    "status": "Status",
    "id": "Execution",
    "type": "Type",
    "task_queue": "Task queue",
    "start_time": "Started",
    "close_time": "Ended",
    "took": "Took",
    "attempt": "Attempt",
    "history": "Events",
    "parent": "Parent",
    "run_id": "Run",
}
USUAL: Final = ("status", "id", "type", "task_queue", "start_time", "took")
NUMBERS: Final = frozenset({"took", "attempt", "history"})
MOST: Final = 20
"""How many columns a URL may choose, and how many search attributes are offered."""
LONGEST: Final = 100


def chosen(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the columns to show, known ones first; any other name is a search attribute."""
    given = [name for name in wanted if name and len(name) <= LONGEST]
    if not given:
        return USUAL
    known = [name for name in TITLES if name in given or name == "id"]
    others = [name for name in dict.fromkeys(given) if name not in TITLES]
    return (*known, *others[:MOST])


def offered(runs: Iterable[Description], shown: Iterable[str]) -> list[str]:
    """Return all columns to choose from, with the search attributes that are on the page or chosen already."""
    found = dict.fromkeys(name for name in shown if name not in TITLES)
    for run in runs:
        found.update(dict.fromkeys(run.search_attributes))
    return [*TITLES, *sorted(found)[:MOST]]
