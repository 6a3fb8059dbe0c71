"""What functions and processes may read from workflows: description, history, queries and updates."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, Protocol

import msgspec

from ..interfaces.backend import Backend
from ..model import values
from ..model.clock import Clock, waiting
from ..model.errors import INVALID, Error
from ..model.execution import COMPLETED, CONTINUED, RUNNING, HistoryPage, Pid, Record
from ..model.presentation import lines
from ..model.records import DONE, Ask, Outcome
from ..model.text import shown
from ..model.values import Json

DESCRIBE: Final = "describe"
HISTORY: Final = "history"
QUERY: Final = "query"
UPDATE: Final = "update"
READS: Final = frozenset({DESCRIBE, HISTORY, QUERY, UPDATE})
"""The verbs of `Ask` that only actors may use, because the answers are never recorded."""


class ReadHost(Protocol):
    """The part of the process host that a read needs."""

    @property
    def clock(self) -> Clock: ...

    @property
    def backend(self) -> Backend: ...

    async def resolve(self, dest: str) -> str: ...


async def read(host: ReadHost, ask: Ask) -> Json:
    """Read from the workflow `ask.to`: a pid, a registered name, or a workflow id.

    :raises Error: NOT_FOUND, INVALID when it is not a workflow, or the error of the handler of a query or update.
    """
    pid = Pid.parse(await host.resolve(ask.to)) or Pid("", ask.to)
    if not pid.is_workflow:
        raise Error(
            f"{ask.to} is not a workflow, so it cannot answer process.{ask.verb}", INVALID, retryable=False
        )
    if ask.verb == QUERY:
        return await host.backend.query(pid.id, ask.name, bytes(ask.args))
    if ask.verb == UPDATE:
        with waiting(host.clock):
            return await host.backend.update(pid.id, ask.name, bytes(ask.args))
    if ask.verb == DESCRIBE:
        return await _describe(host, pid.id)
    return await _history(host, pid.id, ask.name)


async def _describe(host: ReadHost, id: str) -> Json:
    found = await host.backend.describe(id)
    told: dict[str, Any] = msgspec.structs.asdict(found)
    for name in ("start_time", "close_time"):
        told[name] = _rfc3339(told[name])
    if found.status not in (RUNNING, CONTINUED):
        outcome = msgspec.json.decode(await host.backend.result(id, found.run_id), type=Outcome)
        if outcome.err is not None:
            told["error"] = outcome.err
        elif found.status == COMPLETED and outcome.ok:
            told["result"] = msgspec.Raw(outcome.ok)
    return msgspec.json.encode({name: value for name, value in told.items() if value is not None})


async def _history(host: ReadHost, id: str, cursor: str) -> Json:
    """Return the events after a cursor; wait until there are any, or until the workflow has ended."""
    run_id, _, number = cursor.rpartition("@")
    if cursor and not (run_id and number.isascii() and number.isdigit()):
        raise Error(f"{shown(cursor)} is not a valid cursor of process.history", INVALID, retryable=False)
    with waiting(host.clock):
        page = await host.backend.history(id, run_id, int(number or 0), wait=True)
    opened: dict[int, Record] = {}
    if page.start and any(record.op == DONE for record in page.records):
        before = await host.backend.history(id, page.run.run_id)
        lines(before.records[: page.start], 0, opened)
    events = [
        {"number": line.number, "time": _rfc3339(line.time), "name": line.name, "summary": line.summary}
        for line in lines(page.records, page.start, opened)
    ]
    return values.encode({"events": events, "cursor": _next(page), "status": page.status})


def _next(page: HistoryPage) -> str | None:
    """Return where to go on; None after the last event of a workflow that has ended."""
    if page.status == RUNNING:
        return f"{page.run.run_id}@{page.start + len(page.records)}"
    return f"{page.next_run_id}@0" if page.next_run_id else None


def _rfc3339(ns: int | None) -> str | None:
    return (
        None if ns is None else dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).isoformat().replace("+00:00", "Z")
    )
