"""Rows that no version of Saros wrote: they are set aside, and the rest goes on."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import INTERNAL, Error
from saros_testing import eventually, lua_app

GARBAGE = ["x\x1b[2J", -1, 2**62, b"\xff\x00{", b"{}", b"null", ""]
TABLES = [
    ("runs", "facts"),
    ("inbox", "op"),
    ("inbox", "body"),
    ("inbox", "run_id"),
    ("activities", "task"),
    ("activities", "attempt"),
    ("outbox", "watcher"),
    ("outbox", "body"),
]
OUTBOX = "INSERT INTO outbox (id, run_id, pid, ref, op, body, mail_key, watcher, lane, waits) VALUES"


async def heard(caplog: pytest.LogCaptureFixture, word: str) -> None:
    await eventually(lambda: word in caplog.text, f"a warning says: {word}")


def test_rows_that_cannot_be_read_hold_up_nothing(
    run: Any, app_path: Path, url: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with saros.open(app_path, backend=url, workers=False) as app:
            for table, column in TABLES:
                for number in range(len(GARBAGE)):
                    await app.start("app:nap", "1h", id=f"{table}-{column}-{number}")
        with sqlite3.connect(file) as db:
            rows = [(*place, number) for place in TABLES for number in range(len(GARBAGE))]
            for table, column, number in rows:
                value, own = GARBAGE[number], "(SELECT run FROM runs WHERE id = ?)"
                id = f"{table}-{column}-{number}"
                if table == "activities":
                    values = "(run, ref, task_queue, attempt, ready, task)"
                    db.execute(f"INSERT INTO activities {values} VALUES ({own}, 1, 'main', 1, 0, '')", (id,))
                elif table == "outbox":
                    db.execute(f"{OUTBOX} ('a', 'b', 'c', 1, 'send', x'7b7d', ?, NULL, ?, 0)", (id, id))
                    db.execute(f"UPDATE outbox SET {column} = ? WHERE mail_key = ?", (value, id))
                if table != "outbox":
                    db.execute(f"UPDATE {table} SET {column} = ? WHERE run = {own}", (value, id))
        db.close()
        async with saros.open(app_path, backend=url) as app:
            assert await (await app.start("app:steps", 3, id="healthy")).result(60)
            for what in ("run", "activity", "entry"):
                await heard(caplog, f"{what} ")
            assert await (await app.start("app:steps", 3, id="later")).result(60)
            problem = (await app.get("runs-facts-0").describe()).problem
            assert problem is not None
            assert "cannot be read" in problem
            with pytest.raises(Error) as raised:
                await app.get("activities-task-0").pending()
            assert raised.value.kind == INTERNAL
        told = [record.getMessage() for record in caplog.records if "is set aside" in record.getMessage()]
        assert len(told) == len(set(told)), "each is said once"
        assert not any("\x1b" in text for text in told)

    run(main())


def test_damage_is_told_where_it_is_and_holds_up_nothing_else(
    run: Any, app_path: Path, url: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage = {
        "history": "UPDATE records SET body = 5 WHERE run = {run}",
        "watcher": "INSERT INTO watchers (run, pid, ref, watcher) VALUES ({run}, 'x', 0, 5)",
        "children": "UPDATE runs SET facts = x'00' WHERE run = {run}",
        "limit": "INSERT INTO deadlines (due, run, ref, guard, mail_run_id, op, mail_ref, body)"
        " VALUES (0, {run}, 0, 'limit', '', '', 0, 5)",
        "never": "UPDATE deadlines SET due = x'00' WHERE run = {run}",
        "memo": "UPDATE runs SET memo = 5, search = x'00' WHERE run = {run}",
        "queue": "UPDATE runs SET task_queue = x'00' WHERE run = {run}",
    }

    async def main() -> None:
        async with saros.open(app_path, backend=url) as app:
            for id in damage:
                order = await app.start("app:nap", "1h", id=id)
                await eventually(partial(has_begun, order), f"{id} has begun")
        with sqlite3.connect(file) as db:
            for id, statement in damage.items():
                (number,) = db.execute("SELECT run FROM runs WHERE id = ?", (id,)).fetchone()
                db.execute(statement.format(run=number))
                db.execute("INSERT INTO children (run, ref, id, policy) VALUES (?, 9, 'c', '')", (number,))
            db.execute("UPDATE workers SET told = 5")
            db.execute("INSERT INTO paused (schedule, told) VALUES ('app:s', 5)")
        db.close()
        async with saros.open(app_path, backend=url) as app:
            assert await (await app.start("app:nap", "10ms", id="healthy")).result(60) == "slept"
            assert len([each async for each in app.list()]) == len(damage) + 1
            await app.backend.workers()
            await app.backend.queues()
            for id in damage:
                order = app.get(id)
                assert (await order.describe()).id == id
                if id == "history":
                    with pytest.raises(Error, match="cannot be read") as raised:
                        await order.export()
                    assert raised.value.kind == INTERNAL
                await order.terminate()
                assert (await order.describe()).status == "terminated"
            await heard(caplog, "a watcher of watcher ")
            await heard(caplog, "deadline ")
        assert "Traceback" not in caplog.text

    run(main())


async def has_begun(order: saros.Handle) -> bool:
    return (await order.describe()).history_length > 0


def test_a_commit_that_is_impossible_holds_up_no_other(
    run: Any, tmp_path: Path, url: str, file: Path
) -> None:
    main = """
    require("workflow").attrs{search = {color = "red"}}
    process.inbox():receive()
    require("workflow").attrs{search = {color = "blue"}}
    """
    path = lua_app(tmp_path / "colors", workflows={"main": main})

    async def scenario() -> None:
        async with saros.open(path, backend=url) as app:
            orders = [await app.start("app:main", id=f"order-{number}") for number in range(5)]
            for order in orders:
                await eventually(partial(has_begun, order), f"{order.id} has begun")
        async with saros.open(path, backend=url, workers=False) as app:
            for order in orders:
                await app.get(order.id).signal("go")
        with sqlite3.connect(file) as db:
            db.execute("UPDATE runs SET search = 5 WHERE id = 'order-2'")
        db.close()
        async with saros.open(path, backend=url) as app:
            for order in orders:
                if order.id != "order-2":
                    await app.get(order.id).result(60)

            async def told() -> bool:
                return "cannot be read" in ((await app.get("order-2").describe()).problem or "")

            await eventually(told, "order-2 is parked")

    run(scenario())
