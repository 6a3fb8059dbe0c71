"""A soak test: for minutes, it kills workers, cuts connections, restarts servers and sets clocks.

Nothing may be lost, doubled, early or out of order.

    python bench/soak.py {memory,sqlite,postgresql,redis,temporal} [SECONDS]

Meanwhile, it runs workflows whose results prove what happened (see orders.py). On memory, where everything ends
with the process, workers stop and start again within it. Elsewhere, workers are killed, told to end, and frozen. A
network between them and a server loses connections or falls silent; the file of SQLite is locked. Clocks are set
forward and back by three hours: this process's clock on memory, the workers' clocks elsewhere, and on PostgreSQL and
Redis also the server's. (A Temporal server asks the kernel for the time, so setting its clock would need a separate
machine.)

The soak prints the disturbances, and everything that was lost (acknowledged, but without the right result), doubled
(a step that is in a history twice), early (a sleep) or out of order (messages); it fails if there was anything, or if
a worker has not ended a minute after it was told to. SEED= repeats the disturbances.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# ruff: noqa: E402 - the path to the code shared with tests is set first
sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from clocks import Clock, build
from orders import CHILD, NAP, NONE, ORDER, Tally, nap, one
from places import PLACES, Place

from saros_testing import lua_app


async def supervised(at: Place, tally: Tally) -> None:
    tally.disturbed += [(time.time(), what) for what in at.supervise()]
    await asyncio.sleep(0.05)


async def soak(at: Place, seconds: float, path: Path, seed: int) -> int:
    tally, dice = Tally(), random.Random(seed)
    async with at.running(path) as app:
        await one(app, tally, 0)  # the workers run
        began = time.monotonic()
        tally.slowest = NONE
        running: set[asyncio.Task[None]] = set()
        next_disturbance = time.monotonic() + 3
        number = 0
        disturbing: asyncio.Task[str] | None = None
        while time.monotonic() - began < seconds:
            while len(running) < 20:
                number += 1
                task = asyncio.create_task((nap if number % 5 == 0 else one)(app, tally, number))
                running.add(task)
                task.add_done_callback(running.discard)
            if disturbing is None and time.monotonic() > next_disturbance:
                disturbing = asyncio.create_task(at.disturb(dice))
            if disturbing is not None and disturbing.done():
                tally.disturbed.append((time.time(), disturbing.result()))
                disturbing, next_disturbance = None, time.monotonic() + dice.uniform(0.5, 4)
            await supervised(at, tally)
        if disturbing is not None:
            tally.disturbed.append((time.time(), await disturbing))
        while running:
            await supervised(at, tally)
    return tally.report(time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("place", choices=sorted(PLACES))
    parser.add_argument("seconds", nargs="?", type=float, default=120.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saros-soak-") as name:
        folder = Path(name)
        library = build(folder)
        if library is None:
            print("no C compiler: clocks are left alone")
        elif options.place == "memory" and Clock.inherited() is None:
            clock = Clock(library, folder / "clock")
            return subprocess.call([sys.executable, *sys.argv], env={**os.environ, **clock.environment})
        seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
        print(f"{options.place}, SEED={seed}", flush=True)
        path = lua_app(
            folder / "app",
            workflows={"order": ORDER, "child": CHILD, "nap": NAP},
            functions={"square": "return input * input", "near": "return input * input"},
            meta={"near": {"temporal": {"activity": {"local": True}}}},
        )
        return asyncio.run(soak(PLACES[options.place](folder, library), options.seconds, path, seed))


if __name__ == "__main__":
    sys.exit(main())
