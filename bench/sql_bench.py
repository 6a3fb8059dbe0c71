"""Measure the SQL backends: workflows of five activities, one after another.

    python bench/sql_bench.py              100 at a time and one at a time, with synchronous=full and normal
    python bench/sql_bench.py --count 300
    python bench/sql_bench.py --url postgresql://bench@localhost/bench    the same on a server, without limits

Each figure stands next to the limit that the disk and SQLite set, measured in the same minute: one writer with
the same library and transactions of the size of a commit, each with its own write to the disk (for one workflow
at a time) or 100 sharing one write (for 100 at a time). On a machine that has other work, ratios mean more than
rates.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import uvloop
from processes import side_by_side

import saros
from saros_cli.commands.serve import tune_collector

APP = Path(__file__).parent / "apps" / "steps"
STEPS = 5
WARM = 100
BODY = b"x" * 400
WRITES = STEPS + 2
"""Writes to the disk for one workflow: its start, a commit for each activity, and a commit for the end."""


class Limit(NamedTuple):
    """The limits of bare SQLite: milliseconds per transaction, and commits per second if 100 share a transaction."""

    one_ms: float
    together_per_s: float


def limit(folder: Path, mode: str) -> Limit:
    """Measure commits that write two records, an activity and a changed run each, as a workflow task does."""
    with contextlib.closing(sqlite3.connect(folder / "limit.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {mode}")
        for table in ("runs", "records", "activities"):
            raw.execute(f"CREATE TABLE IF NOT EXISTS {table} (at INTEGER PRIMARY KEY, body BLOB)")
        raw.execute("INSERT OR REPLACE INTO runs VALUES (1, ?)", (BODY,))

        def write(commits: int) -> float:
            begun = time.perf_counter()
            raw.execute("BEGIN IMMEDIATE")
            for _ in range(commits):
                raw.executemany("INSERT INTO records (body) VALUES (?)", [(BODY,), (BODY,)])
                raw.execute("INSERT INTO activities (body) VALUES (?)", (BODY,))
                raw.execute("UPDATE runs SET body = ? WHERE at = 1", (BODY,))
            raw.execute("COMMIT")
            return time.perf_counter() - begun

        one = statistics.median(write(1) for _ in range(200))
        together = statistics.median(write(100) for _ in range(50))
    return Limit(one * 1_000, 100 / together)


async def measure(url: str, count: int) -> tuple[float, float]:
    """Return the median duration of a single workflow, in milliseconds, and commits per second for 100 at a time."""
    tune_collector()
    async with saros.open(APP, backend=url) as app:
        times: list[float] = []

        async def five(number: int) -> None:
            begun = time.perf_counter()
            handle = await app.start("bench:five", "bench:python_echo", number)
            assert await handle.result(60) == number
            times.append(time.perf_counter() - begun)

        await side_by_side(five, WARM, 20)
        times.clear()
        await side_by_side(five, WARM, 1)
        alone = statistics.median(times) * 1_000
        begun = time.perf_counter()
        await side_by_side(five, count, 100)
        return alone, count * (STEPS + 1) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000, help="workflows of the second measurement")
    parser.add_argument("--url", help="a database on a server instead of files")
    chosen = parser.parse_args()
    count = chosen.count
    if chosen.url:
        alone, rate = uvloop.run(measure(chosen.url, count))
        print(f"alone {alone:.1f} ms, {rate:.0f} commits/s")
        return
    print(
        f"{'synchronous':<12}{'alone, ms':>10}{'limit':>8}{'ratio':>7}{'commits/s':>12}{'limit':>9}{'ratio':>7}"
    )
    for mode in ("full", "normal"):
        folder = Path(tempfile.mkdtemp(prefix="saros-bench-", dir=Path.cwd()))
        try:
            before = limit(folder, mode)
            alone, rate = uvloop.run(measure(f"sqlite:///{folder}/bench.db?synchronous={mode}", count))
            after = limit(folder, mode)
        finally:
            shutil.rmtree(folder)
        least = (before.one_ms + after.one_ms) / 2 * WRITES
        most = (before.together_per_s + after.together_per_s) / 2
        print(
            f"{mode:<12}{alone:>10.1f}{least:>8.1f}{least / alone:>7.2f}{rate:>12.0f}{most:>9.0f}{rate / most:>7.2f}"
        )


if __name__ == "__main__":
    main()
