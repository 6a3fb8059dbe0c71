"""Executions as clients read them."""

from __future__ import annotations

from typing import Any, Final

from saros.model.execution import RUNNING, Description, HistoryPage
from saros.model.values import readable

from ..database.rows import BROKEN, read_facts, read_raws, read_record, read_run, reading
from ..database.transaction import CLOSED, Transaction
from .lifecycle import one_run

DESCRIPTION: Final = (
    "SELECT runs.run, facts, status, close_time, length, size, search, memo, problem,"
    " id, run_id, pid, type, task_queue, start_time FROM runs"
)


def description(row: tuple[Any, ...]) -> Description:
    """Return the description in a row of `DESCRIPTION`."""
    _run, facts, status, close_time, length, size, search, memo, problem, *columns = row
    run = read_facts(facts, *columns)
    return Description(
        run.id,
        run.run_id,
        str(run.pid),
        run.type,
        run.entry,
        status,
        run.task_queue,
        run.start_time,
        close_time,
        length,
        size,
        run.attempt,
        run.parent.pid if run.parent else None,
        _values(search),
        _values(memo),
        problem,
    )


def _values(blob: bytes | None) -> dict[str, Any]:
    """Return attributes; none if they cannot be read."""
    try:
        return {name: readable(raw) for name, raw in read_raws(blob).items()} if blob else {}
    except BROKEN:
        return {}


def describe(tx: Transaction, id: str, run_id: str) -> Description | None:
    row = one_run(tx, DESCRIPTION, id, run_id)
    return None if row is None else description(row)


_RUN: Final = "SELECT runs.run, facts, status, length, next_run_id"
_LAST: Final = (
    f"{_RUN}, op, ref, body, time FROM runs"
    " LEFT JOIN records ON records.run = runs.run AND number = length - 1"
)


def last(tx: Transaction, id: str, run_id: str) -> HistoryPage | None:
    """Return the last record of a run, by one statement."""
    row = one_run(tx, _LAST, id, run_id)
    if row is None:
        return None
    _run, facts, status, length, following, *columns = row
    with reading(id):
        records = [] if columns[0] is None else [read_record(*columns)]
        return HistoryPage(read_run(facts), max(0, length - 1), records, status, following)


def history(tx: Transaction, id: str, run_id: str, start: int, limit: int) -> HistoryPage | None:
    row = one_run(tx, f"{_RUN} FROM runs", id, run_id)
    if row is None:
        return None
    run, facts, status, length, following = row
    until = min(length, start + limit) if limit else length
    found = tx.all(
        "SELECT op, ref, body, time FROM records WHERE run = ? AND number >= ? AND number < ? ORDER BY number",
        run,
        start,
        until,
    )
    with reading(id):
        records = [read_record(*columns) for columns in found]
        return HistoryPage(read_run(facts), start, records, status, following)


def length(tx: Transaction, id: str, run_id: str) -> int:
    """Return the length of a run's history; CLOSED if the run has ended or is unknown."""
    row = one_run(tx, "SELECT length, status FROM runs", id, run_id)
    return row[0] if row is not None and row[1] == RUNNING else CLOSED
