"""How long malicious programs can hold up the event loop, on ``memory://``.

    python bench/sandbox_bench.py                  a table, worst first
    python bench/sandbox_bench.py --only texts     of one kind
    python bench/sandbox_bench.py --json           data only

The cases are those of tests/lua/sandbox/attacks*.py. Each runs as a function of an app, while a heartbeat in the
same event loop records its longest pause. `cpu` is the CPU time of the thread in that pause, which a busy machine
disturbs less, and `ratio` compares it with that of a plain endless loop. No case may take longer than 250 ms on a
machine that ends the loop within 150 ms: a ratio of 1.67. The loop is measured again after every few cases, and
right after a case that seems late, which gets three tries: the speed of a busy machine changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import saros
from saros.app.app import App

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lua" / "sandbox"))
import attacks
import attacks_library
import attacks_more
from attacks import LOOP

ATTACKS = attacks.ATTACKS | attacks_library.ATTACKS | attacks_more.ATTACKS

LIMIT_MS = 250
LIMIT = LIMIT_MS / 150
SPAN = 8  # cases between two measurements of the loop
TRIES = 3
MODULES = "json, crypto, hash, base64, uuid, time, logger, funcs, payload, process"


class Stall(NamedTuple):
    name: str
    stall_ms: float
    cpu_ms: float
    ratio: float
    outcome: str


def write_app(root: Path, cases: dict[str, str]) -> None:
    entries = ["namespace: bench", "entries:"]
    for number, code in enumerate(cases.values()):
        (root / f"a{number}.lua").write_text(f"return {{ main = function() {code}\nend }}")
        entries += [f"- {{name: a{number}, kind: function.lua, source: 'file://a{number}.lua', method: main,"]
        entries += [f"   modules: [{MODULES}]}}"]
    (root / "_index.yaml").write_text("\n".join(entries))


async def measure(app: App, number: int, name: str) -> Stall:
    longest = cpu = 0.0

    async def heartbeat() -> None:
        nonlocal longest, cpu
        last, last_cpu = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0.002)
            now, now_cpu = time.perf_counter(), time.thread_time()
            longest, cpu = max(longest, now - last), max(cpu, now_cpu - last_cpu)
            last, last_cpu = now, now_cpu

    beating = asyncio.create_task(heartbeat())
    await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(30):
            await app.call(f"bench:a{number}")
        outcome = "ended"
    except saros.Error as exc:
        outcome = str(exc).split(";")[0][:60]
    except TimeoutError:
        outcome = "blocked"
    await asyncio.sleep(0.01)
    beating.cancel()
    return Stall(name, longest * 1000, cpu * 1000, 1.0, outcome)


async def compared(app: App, number: int, name: str, loop: Stall) -> Stall:
    stalls = []
    for _ in range(TRIES):
        stall = await measure(app, number, name)
        if stall.cpu_ms > 1.2 * loop.cpu_ms:
            loop = await measure(app, 0, "an endless loop")
        stalls.append(stall._replace(ratio=stall.cpu_ms / loop.cpu_ms))
        if stalls[-1].ratio < LIMIT:
            break
    return min(stalls, key=lambda stall: stall.ratio)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    cases = {"an endless loop": LOOP} | {name: code for name, code in ATTACKS.items() if options.only in name}
    stalls = []
    with tempfile.TemporaryDirectory() as folder:
        write_app(Path(folder), cases)
        async with saros.open(folder, backend="memory://") as app:
            for number, name in enumerate(cases):
                if number % SPAN == 0:
                    loop = await measure(app, 0, "an endless loop")
                stalls.append(await compared(app, number, name, loop))
                if sys.stderr.isatty():
                    print(f"{number + 1}/{len(cases)} {name}", end="\033[K\r", file=sys.stderr)
    first, *rest = stalls
    rest.sort(key=lambda stall: -stall.ratio)
    if options.json:
        print(json.dumps([stall._asdict() for stall in (first, *rest)]))
        return
    print(f"{'case':52} {'stall ms':>9} {'cpu ms':>8} {'ratio':>6}  outcome")
    for stall in (first, *rest):
        print(
            f"{stall.name:52} {stall.stall_ms:9.0f} {stall.cpu_ms:8.0f} {stall.ratio:6.2f}  {stall.outcome}"
        )
    held = sum(stall.stall_ms > LIMIT_MS for stall in rest)
    late = sum(stall.ratio > LIMIT for stall in rest)
    print(f"{len(rest)} cases; {held} held up the loop for more than {LIMIT_MS} ms")
    print(f"{late} took more than {LIMIT:.2f} times the CPU time of an endless loop")


if __name__ == "__main__":
    asyncio.run(main())
