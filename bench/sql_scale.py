"""A file with very many sleeping executions; see sql_bench.py."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import saros
from saros_testing import eventually

APP = Path(__file__).parent / "apps" / "steps"
LONG_S = 86_400
SHORT_S = 0.2
NAPS = 30
PAGE = 200
QUERIES = (
    "",
    'status = "running"',
    'status = "completed"',
    'type = "bench:nap"',
    'status = "running" and type = "bench:nap"',
    'id = "sleeper-500"',
    'id starts with "sleeper-1234"',
)


async def measure(url: str, count: int) -> None:
    """Print what a file costs with so many executions that sleep for a day."""
    async with saros.open(APP, backend=url) as app:
        before = await lateness(app)
        handle = await app.start("bench:nap", LONG_S, id="sleeper-0")

        async def sleeps() -> bool:
            return bool((await app.backend.describe(handle.id)).history_length >= 2)

        await eventually(sleeps, "it sleeps")
    begun = time.perf_counter()
    multiply(url.removeprefix("sqlite:///"), "sleeper-0", count)
    print(f"{count:,} sleeping executions made in {time.perf_counter() - begun:.0f} s", flush=True)
    begun = time.perf_counter()
    async with saros.open(APP, backend=url) as app:
        handle = await app.start("bench:five", "bench:python_echo", 1)
        assert await handle.result(60) == 1
        print(f"opened, and the first workflow done, after {time.perf_counter() - begun:.2f} s")
        after = await lateness(app)
        print(f"a timer of {SHORT_S} s is late by {before:.1f} ms without them, by {after:.1f} ms with them")
        for query in QUERIES:
            print(f"page of {query or 'all':<50} {await page_ms(app, query):8.1f} ms", flush=True)


async def lateness(app: Any) -> float:
    """Median milliseconds between the time when a workflow is to wake and the time when its end is known."""
    late: list[float] = []
    for _ in range(NAPS):
        begun = time.perf_counter()
        handle = await app.start("bench:nap", SHORT_S)
        await handle.result(60)
        late.append((time.perf_counter() - begun - SHORT_S) * 1e3)
    return statistics.median(late)


async def page_ms(app: Any, query: str) -> float:
    """Median milliseconds for the first page of a query."""
    times: list[float] = []
    for _ in range(5):
        begun = time.perf_counter()
        found = 0
        executions = app.backend.executions(query)
        async for _each in executions:
            found += 1
            if found == PAGE:
                break
        await executions.aclose()
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def multiply(path: str, id: str, count: int) -> None:
    """Copy an execution until there are so many."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA synchronous = OFF")
    columns = [name for _, name, *_ in raw.execute("PRAGMA table_info(runs)")]
    original = dict(
        zip(columns, raw.execute("SELECT * FROM runs WHERE id = ?", (id,)).fetchone(), strict=True)
    )
    first, run_id = original["run"], original["run_id"]

    def copies() -> Iterator[tuple[Any, ...]]:
        for number in range(1, count):
            new_id, new_run_id = f"sleeper-{number}", f"copy-{number}"
            facts = (
                original["facts"]
                .replace(id.encode(), new_id.encode())
                .replace(run_id.encode(), new_run_id.encode())
            )
            changed = {
                "run": first + number,
                "id": new_id,
                "run_id": new_run_id,
                "pid": original["pid"].replace(id, new_id),
                "facts": facts,
            }
            yield tuple({**original, **changed}.values())

    raw.execute("BEGIN")
    indexes = raw.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        raw.execute(f"DROP INDEX {name}")
    raw.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * len(columns))})", copies())
    for table, names in (
        ("records", "number, op, ref, time, body"),
        ("deadlines", "due, ref, guard, mail_run_id, op, mail_ref, body"),
    ):
        raw.execute(
            f"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
            f" INSERT INTO {table} (run, {names}) SELECT ? + n, {names} FROM n, {table} WHERE run = ?",
            (count - 1, first, first),
        )
    for _, sql in indexes:
        raw.execute(sql)
    raw.execute("COMMIT")
    raw.close()
