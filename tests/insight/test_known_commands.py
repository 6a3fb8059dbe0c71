"""Open commands of runs that are looked at again: only what is new is read, and what was lost is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from saros.insight import known_commands
from saros.insight.known_commands import KnownCommands
from saros.insight.query import parse
from saros.model.execution import HistoryPage, Record, Run
from saros.model.search import statuses

pytestmark = pytest.mark.anyio


class Store:
    """The histories of runs, as a store returns them. It notes what is asked for."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.asked: list[int] = []

    def timer(self, ref: int) -> None:
        self.records.append(Record("timer", ref, b'{"ns":1}', ref))

    async def history(self, id: str, run_id: str, start: int, limit: int) -> HistoryPage:
        self.asked.append(start)
        run = Run(id, run_id, "app:w", "w", "", "q", 0)
        return HistoryPage(run, start, self.records[start : start + limit], "running")


async def test_only_new_records_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_commands, "PAGE", 3)
    store: Any = Store()
    known = KnownCommands(store)
    for ref in range(1, 11):
        store.timer(ref)
        assert list((await known.of("w", "r")).commands) == list(range(1, ref + 1))
    store.asked.clear()
    store.records.append(Record("done", 4, b"{}", 11))
    assert 4 not in (await known.of("w", "r")).commands
    assert min(store.asked) == 9  # from the last one that was known


async def test_a_history_that_has_lost_its_last_records_is_read_anew() -> None:
    store: Any = Store()
    known = KnownCommands(store)
    for ref in (1, 2, 3):
        store.timer(ref)
    await known.of("w", "r")
    del store.records[1:]
    assert list((await known.of("w", "r")).commands) == [1]
    store.timer(9)
    assert list((await known.of("w", "r")).commands) == [1, 9]


def test_a_query_for_statuses_alone_is_known_as_one() -> None:
    asked = {
        "status = 'running' or status = 'failed'": ["running", "failed"],
        "not status in ('running', 'failed') and status != 'canceled'": [
            *("completed", "terminated", "timed_out", "continued_as_new")
        ],
        "status is null": [],
        "status = 'running' and type = 'order'": None,
    }
    assert {query: statuses(parse(query)) for query in asked} == asked
    assert len(statuses(parse("")) or ()) == 7
