"""Changes that a transaction makes together."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saros_sql.database.changes import Change, Changes
from saros_sql.database.schema import TABLES, statements
from saros_sql.options import parse
from saros_sql.parts import activities, lifecycle, workflow_tasks
from saros_sql.postgres.arrays import MOST, Array, portions, together
from saros_sql.postgres.opening import prepared
from saros_sql.postgres.pipeline import Pipeline, numbered

PUT = Change("INSERT INTO a (k, v) VALUES (?, ?)", int, str)
SET = Change("UPDATE a SET v = ? WHERE k = ?", str, int)
CUT = Change("DELETE FROM a WHERE k = ? AND v = ?", int, str)
NOTE = Change("INSERT INTO b (k, v) VALUES (?, ?)", int, str)
KEYS, TEXTS = st.integers(0, 3), st.sampled_from(["x", "y", "z"])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just(PUT), st.tuples(KEYS, TEXTS)),
            st.tuples(st.just(SET), st.tuples(TEXTS, KEYS)),
            st.tuples(st.just(CUT), st.tuples(KEYS, TEXTS)),
            st.tuples(st.just(NOTE), st.tuples(KEYS, TEXTS)),
        )
    )
)
def test_changes_made_together_end_as_they_would_one_by_one(made: list[tuple[Change, Any]]) -> None:
    def tables(groups: Any) -> list[list[Any]]:
        with sqlite3.connect(":memory:") as raw:
            for name in "ab":
                raw.execute(f"CREATE TABLE {name} (seq INTEGER PRIMARY KEY, k INTEGER, v TEXT)")
            for change, rows in groups:
                raw.executemany(change, rows)
            return [raw.execute(f"SELECT * FROM {name} ORDER BY seq").fetchall() for name in "ab"]

    changes = Changes()
    for change, row in made:
        changes.add(change, row)
    assert tables(changes.take()) == tables([(change, [row]) for change, row in made])
    assert not changes


def test_large_rows_are_divided_among_statements() -> None:
    change = Change("INSERT INTO a (k, v) VALUES (?, ?)", int, bytes)
    large = bytes(MOST // 3)
    rows: list[Any] = [(1, large), (2, None), (3, large), (4, large), (5, large * 4), (6, b"")]
    divided = list(portions(change, rows))
    assert [row for portion in divided for row in portion] == rows
    assert [[key for key, _ in portion] for portion in divided] == [[1, 2, 3, 4], [5], [6]]
    assert list(portions(PUT, rows)) == [rows]


def own_changes() -> list[Change]:
    found = [each for part in (activities, lifecycle, workflow_tasks) for each in vars(part).values()]
    flat = [each for item in found for each in (item if isinstance(item, list) else [item])]
    return list(dict.fromkeys(each for each in flat if isinstance(each, Change)))


@pytest.fixture
def raw(postgresql_url: str) -> Iterator[Any]:
    with prepared(parse(postgresql_url)) as raw:
        yield raw


@pytest.mark.parametrize("kind", [int, str, bytes])
def test_columns_of_values_come_back(raw: Any, kind: type) -> None:
    values: dict[type, list[Any]] = {
        int: [0, -(1 << 63), None, (1 << 63) - 1],
        str: ["", None, "NULL", 'ä"\\{},', "\n"],
        bytes: [b"", None, b"\0\xff\\x"],
    }
    pipeline = Pipeline(raw)
    found = pipeline.send("SELECT k FROM unnest(?) AS k", [Array(kind, values[kind])])
    pipeline.wait()
    assert [value for (value,) in found.rows] == values[kind]


def test_rows_are_found_by_an_index_however_small_their_table_was(raw: Any) -> None:
    """A prepared statement keeps its plan while the table grows."""
    arrays = {int: "bigint[]", str: "text[]", bytes: "bytea[]"}
    raw.execute("SET plan_cache_mode = force_generic_plan")
    for number, change in enumerate(own_changes()):
        types = ", ".join(arrays[kind] for kind in change.types)
        raw.execute(f"PREPARE change{number} ({types}) AS {numbered(together(change)).decode()}")
        nulls = ", ".join("NULL" for _ in change.types)
        plan = [line for (line,) in raw.execute(f"EXPLAIN EXECUTE change{number} ({nulls})")]
        assert not [line for line in plan if "Seq Scan" in line or "Hash" in line], plan


def test_changes_mean_the_same_on_both_databases(raw: Any) -> None:
    """The runs of a batch: mail is consumed, activities end, histories grow, one run ends."""
    rows: list[tuple[Change, list[Any]]] = [
        (lifecycle.POST, [(run, "", "done", ref, b"{}") for run in (1, 2, 3) for ref in (1, 2)]),
        (workflow_tasks._CONSUME, [(1, 1, 0), (3, 3, 1)]),
        (lifecycle._ARM, [(5, run, 1, "timer", "", "fired", 1, b"{}") for run in (1, 2)]),
        (activities.CLEAR, [(2, 1), (3, 1)]),
        (lifecycle._APPEND, [(run, number, "call", 1, 7, b"\0") for run in (1, 2) for number in (0, 1)]),
        (workflow_tasks._LEASE, [("f1", "me", 3, 1), ("f2", "me", 3, 2)]),
        (workflow_tasks._COMMIT, [(None, 0, 4, 100, None, 1), ("late", 0, 2, 50, 9, 2)]),
        (lifecycle.SCHEDULE_RUN, [(8, 0, 3), (8, 0, 3), (8, 1, 1)]),
        (lifecycle._CLOSE, [("completed", 5, 6, "", 1, 10, 2)]),
    ]
    create = (
        "INSERT INTO runs (id, run_id, pid, type, task_queue, status, start_time, began, request_id, facts)"
        " VALUES ('id', 'run%d', 'pid', 'type', 'queue', 'running', 1, 1, '', '')"
    )
    pipeline = Pipeline(raw)
    with sqlite3.connect(":memory:") as lite:
        for statement in statements(TABLES):
            lite.execute(statement.replace(" SERIAL", " INTEGER PRIMARY KEY"))
        for number in (1, 2, 3):
            lite.execute((create % number).replace("'')", "x'')"))
            raw.execute(create % number)
        for change, values in rows:
            lite.executemany(change, values)
            columns = zip(change.types, zip(*values, strict=True), strict=True)
            pipeline.send(together(change), [Array(*column) for column in columns])
        pipeline.wait()
        for table in ("runs", "inbox", "deadlines", "records"):
            order = "number, run" if table == "records" else "1"
            mine = lite.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
            assert mine
            assert raw.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall() == mine
