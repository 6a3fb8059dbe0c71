"""The same five steps in DBOS Transact on PostgreSQL, for comparison.

    python bench/dbos_bench.py

Needs `dbos` (dependency group `bench`) and the programs of a PostgreSQL server. Creates its own cluster, with
PostgreSQL's default settings (fsync on), in a folder that is deleted at the end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import Process, free_port, serve, side_by_side

from saros_cli import session

STEPS = 5


# --- the server -------------------------------------------------------------------------------


def find_programs() -> Path | None:
    """Return the folder with the programs of the newest PostgreSQL, or None."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    if shutil.which("pg_config"):
        found = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(found.stdout.strip()))
    return next((each for each in reversed(folders) if (each / "initdb").exists()), None)


def unprivileged() -> str | None:
    """Return another user for the server if this is root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """Run a PostgreSQL server within the context; yield its URL."""
    user = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="saros-bench-pg-"))
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "user": user, "cwd": folder}
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "bench", "--auth=trust", "-E", "UTF8"]
    subprocess.run(initdb, check=True, stderr=subprocess.STDOUT, **quiet)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, "-c", "listen_addresses=127.0.0.1"], stderr=log, **quiet)
    try:
        ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        while subprocess.run(ready, check=False).returncode != 0:
            if server.poll() is not None:
                raise RuntimeError(f"PostgreSQL does not start: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield f"postgresql://bench@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


# --- the process that runs workflows ------------------------------------------------------------


async def worker(url: str) -> None:
    from dbos import DBOS

    DBOS(config={"name": "bench", "system_database_url": url, "console_log_level": "ERROR"})

    @DBOS.step()
    async def echo(value: Any) -> Any:
        return value

    @DBOS.workflow()
    async def five(order: int) -> int:
        for n in range(1, STEPS + 1):
            await echo({"id": order, "n": n})
        return order

    DBOS.launch()
    times: list[float] = []

    async def timed(number: int) -> None:
        begun = time.perf_counter()
        handle = await DBOS.start_workflow_async(five, number)
        assert await handle.get_result() == number
        times.append(time.perf_counter() - begun)

    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        times.clear()
        await side_by_side(timed, question["count"], question["concurrency"])
        return {"times": sorted(times)}

    await serve(answer)


# --- the comparison ---------------------------------------------------------------------------


async def compare(saros_steps_per_s: float, workflows: int, concurrency: int, sequential: int) -> None:
    """Print how fast DBOS is, and how many times faster Saros was."""
    found = find_programs()
    if found is None or importlib.util.find_spec("dbos") is None:
        missing = "PostgreSQL's initdb" if found is None else "the package dbos (dependency group bench)"
        print(f"no comparison with DBOS Transact: {missing} is not installed")
        return
    with postgres(found) as url:
        process = Process(__file__, "worker", url)
        try:
            await process.ask(count=50, concurrency=concurrency)
            alone = (await process.ask(count=sequential, concurrency=1))["times"]
            begun = time.perf_counter()
            cpu = (await process.ask(count=workflows, concurrency=concurrency))["cpu"]
            steps = workflows * STEPS
            rate = steps / (time.perf_counter() - begun)
        finally:
            process.stop()
    print(
        f"DBOS Transact on PostgreSQL, one process: {rate:.0f} steps/s, p50 {statistics.median(alone) * 1e3:.1f} ms,"
        f" {cpu / steps * 1e6:.0f} µs CPU of its process per step"
    )
    if saros_steps_per_s:
        print(f"Saros (first row) does {saros_steps_per_s / rate:.1f} times as many steps per second")


if __name__ == "__main__":
    session.run(worker(sys.argv[2]) if sys.argv[1:2] == ["worker"] else compare(0.0, 400, 100, 40))
