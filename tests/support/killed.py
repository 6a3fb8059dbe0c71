"""Kills maintenance of a SQLite database in the middle, again and again, and checks what is left each time.

python killed.py migration|backup|trim DATABASE
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from saros_sql.database import maintenance
from saros_sql.database.boot import SteadyClock
from saros_sql.database.opening import connect
from saros_sql.options import Options, parse
from saros_sql.parts import retention

TIMES = 25
STEP = """
CREATE TABLE extra (a TEXT);
INSERT INTO extra SELECT body FROM records;
ALTER TABLE runs ADD COLUMN extra TEXT;
UPDATE runs SET extra = 'x';
"""
Rows = dict[str, dict[int, list[tuple[object, ...]]]]


def rows(path: Path) -> Rows:
    """All rows that belong to runs: table -> run -> rows."""
    found: Rows = {}
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("runs", "records", "requests", "attributes"):
            found[table] = {}
            for row in raw.execute(f"SELECT run, * FROM {table} ORDER BY 1, 2, 3"):
                found[table].setdefault(row[0], []).append(row[1:])
    return found


class Migration:
    """It is done, or it has not begun."""

    def __init__(self, path: Path, options: Options) -> None:
        self.path, self.options = path, options
        self.before = rows(path)
        maintenance.VERSION = 2  # type: ignore[misc]
        maintenance.MIGRATIONS[1] = STEP

    def work(self) -> None:
        maintenance.migrate(self.options)

    def check(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.path)) as raw:
            (version,) = raw.execute("PRAGMA user_version").fetchone()
            tables = raw.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone()
            columns = [row[1] for row in raw.execute("PRAGMA table_info(runs)")]
        done = version == 2
        assert (tables, "extra" in columns) == ((int(done),), done), version
        assert rows(self.path)["records"] == self.before["records"]
        return done


class Backup:
    """The copy is whole, or it has not got its name."""

    def __init__(self, path: Path, options: Options) -> None:
        self.options, self.target = options, path.with_name("copy.db")
        self.before = rows(path)

    def work(self) -> None:
        maintenance.backup(self.options, self.target)

    def check(self) -> bool:
        done = self.target.exists()
        if done:
            assert rows(self.target) == self.before
            self.target.unlink()
        for rest in self.target.parent.glob("copy.db*"):
            assert ".part" in rest.name
            rest.unlink()
        return done


class Trim:
    """A run is there with all that belongs to it, or it is gone without a rest; what is not due is there."""

    def __init__(self, path: Path, options: Options) -> None:
        self.path, self.options = path, options
        with contextlib.closing(sqlite3.connect(path)) as raw:
            raw.execute("UPDATE runs SET closed = closed + 1000000000000000 WHERE run % 2 = 0")
            self.due = {
                run for (run,) in raw.execute("SELECT run FROM runs WHERE closed < 9e18 AND run % 2 = 1")
            }
            raw.commit()
        self.before = rows(path)
        assert len(self.due) > 5

    def work(self) -> None:
        connection = connect(self.options, "me", SteadyClock())
        for _ in range(3):
            transaction = connection.begin([])
            retention.trim(transaction, 0)
            connection.commit(transaction)

    def check(self) -> bool:
        found = rows(self.path)
        left = set(found["runs"])
        for table, before in self.before.items():
            assert found[table] == {run: of_run for run, of_run in before.items() if run in left}, table
        assert set(self.before["runs"]) - left <= self.due
        return not left & self.due


def run(work: Callable[[], None], pause: float | None) -> float:
    """Work in a process that is killed after a while; return how long it took."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    if pause is not None:
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert pause is not None or status == 0
    return time.monotonic() - began


def main(kind: str, path: Path) -> None:
    pristine = path.with_name("pristine.db")
    maker = {"migration": Migration, "backup": Backup, "trim": Trim}[kind]
    case = maker(path, parse(f"sqlite:///{path}"))
    shutil.copy(path, pristine)
    longest = run(case.work, None)
    assert case.check(), "it is not done, although nobody has killed it"
    dice, done = random.Random(1), 0
    for _ in range(TIMES):
        for ending in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        shutil.copy(pristine, path)
        run(case.work, dice.uniform(0, longest * 0.8))
        done += case.check()
    print(f"{TIMES} times, {done} of them too late", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
