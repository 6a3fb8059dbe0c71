"""Rows that no version of Saros wrote: they are set aside, and the rest goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import saros
from saros.model.errors import INTERNAL, Error
from saros_testing import eventually

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
