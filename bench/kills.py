"""Kills workers with SIGKILL, one soon after the other, while hundreds of workflows run.

Nothing that was acknowledged may be lost, nothing may end twice, and messages keep their order.

    python bench/kills.py sqlite [KILLS]
    python bench/kills.py postgresql [KILLS]
    python bench/kills.py failover [KILLS]

Four workers share one database, and each that is killed is replaced at once. Each worker is a client, too: it
starts workflows, sends them messages, and notes in a file of its own what was acknowledged. With PostgreSQL, one
hit in ten crashes the server, which recovers from its log, and one in ten cuts all its connections, in the middle
of their commits. With `failover`, the server has a synchronous replica; one hit in eight crashes the server, and the
replica takes over and gets a replica of its own.

In the end each workflow that was acknowledged has one result, with all acknowledged messages in their order; each
step of its history has one end; and the database is whole and holds no rest. SEED= repeats the times of the kills.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# ruff: noqa: E402 - the path to the code shared with tests is set first
sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from killer import END, LETTERS, PATIENCE_S, WORKERS, File, Replicated, Server, killer, order, rest
from orders import Tally, faults, patiently

import saros
from saros.model.background import each
from saros.model.errors import NOT_FOUND
from saros_testing import lua_app

RUNNING = {"sqlite": 500, "postgresql": 200, "failover": 100}
"""Workflows at the same time."""
ORDER = f"""
    local inbox = process.listen("letter")
    local steps, letters = {{}}, {{}}
    for i = 1, {LETTERS} do
      letters[i] = inbox:receive()
      local token, err = funcs.call("app:note", {{id = input, step = i}})
      if err then return nil, err end
      steps[i] = token
      if i % 2 == 0 then time.sleep("50ms") end
    end
    local child, err = require("workflow").call("app:child", input)
    if err then return nil, err end
    return {{letters = letters, steps = steps, child = child}}
"""
CHILD = 'time.sleep("20ms") return input'
NOTE = """
import asyncio
import os

async def note(step):
    # A token for each time that the step runs: the history must have one of them.
    await asyncio.sleep(0.02)
    token = os.urandom(8).hex()
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{step['id']} {step['step']} {token}\\n")
    return token
"""


class Noted:
    """What was acknowledged.

    :ivar requests: execution -> its start, and its letters in their order.
    :ivar heard: execution -> the result.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests: dict[str, list[str]] = {}
        self.heard: dict[str, Any] = {}

    def note(self, line: str) -> None:
        id, _, what = line.partition(" ")
        self.requests.setdefault(id, []).append(what)

    def read(self) -> bool:
        """Read what the workers have noted; return False while their clients still work."""
        notes = [file.read_text().split("\n")[:-1] for file in self._folder.glob("acknowledged-*")]
        if sum(lines[-1:] == [END] for lines in notes) < WORKERS:
            return False
        for line in itertools.chain(*notes):
            if line != END:
                self.note(line)
        return True

    def tokens(self) -> dict[tuple[str, str], list[str]]:
        """What steps have given: execution and step -> the token of each time that it ran."""
        found: dict[tuple[str, str], list[str]] = {}
        for line in (self._folder / "notes").read_text().split("\n")[:-1]:
            id, step, token = line.split(" ")
            found.setdefault((id, step), []).append(token)
        return found


async def judge(app: Any, tally: Tally, noted: Noted) -> int:
    """Compare each execution with what was acknowledged; return how many steps ran again."""
    found = {}

    async def send_all(handle: Any) -> None:
        try:
            for number in range(1, LETTERS + 1):
                await patiently(tally, partial(handle.signal, "letter", number))
        except saros.Error as error:
            if error.kind != NOT_FOUND:  # else it has ended: it had got more than was acknowledged
                raise

    async def collect(id: str) -> None:
        handle = app.get(id)
        try:
            if len(noted.requests[id]) < 1 + LETTERS:  # its client was killed in the middle
                await send_all(handle)
            result = await patiently(tally, lambda: handle.result(PATIENCE_S))
            found[id] = result, await patiently(tally, handle.export)
        except saros.Error as error:
            tally.wrong.append(f"{id}: {error}")

    await each(collect, list(noted.requests), 50)
    tokens = noted.tokens()
    for id, (result, history) in found.items():
        if noted.heard.get(id, result) != result:
            tally.wrong.append(f"{id} returned {noted.heard[id]}, and later {result}")
        # A letter that was refused, as its acknowledgement was lost, is sent again, and may be there twice.
        letters, sent = result["letters"], [int(number) for number in noted.requests[id][1:]]
        if tally.refused:
            letters = [number for number, _ in itertools.groupby(letters)]
        if letters[: len(sent)] != sent[: len(letters)]:
            tally.wrong.append(f"{id} was sent {sent}, and has received {result['letters']}")
        for step, token in enumerate(result["steps"], 1):
            if token not in tokens.get((id, str(step)), ()):
                tally.wrong.append(f"{id} has a result of step {step} that nobody has given")
        if result["child"] != id:
            tally.wrong.append(f"{id} has the child of {result['child']}")
        tally.wrong += [f"{id} {fault}" for fault in faults(history)]
    return sum(len(runs) - 1 for runs in tokens.values())


async def run(url: str, folder: Path, path: Path, line: Connection, most: int) -> int:
    tally, noted, began = Tally(), Noted(folder), time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        context = saros.open(path, backend=url, workers=False)
        app = await patiently(tally, lambda: stack.enter_async_context(context))
        line.send("go")

        async def one(number: int) -> None:
            id = f"order-{number}"
            try:
                noted.heard[id] = await order(app, tally, id, noted.note)
            except saros.Error as error:
                tally.wrong.append(f"{id}: {error}")

        running: set[asyncio.Task[None]] = set()
        numbers = itertools.count()
        while not (folder / "stop").exists() or running:
            while len(running) < most and not (folder / "stop").exists():
                running.add(asyncio.create_task(one(next(numbers))))
            done, running = await asyncio.wait(running, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        print(f"{time.monotonic() - began:.0f} s, {len(noted.heard)} orders have ended", flush=True)
        while not noted.read():  # noqa: ASYNC110 - other processes write that
            await asyncio.sleep(0.2)
        async for execution in app.list("type = 'app:order'"):
            noted.requests.setdefault(execution.id, [])  # it was started, and nobody has heard of that
        again = await judge(app, tally, noted)
        until = time.monotonic() + 60
        while (await app.counts()).get("running"):
            if time.monotonic() > until:
                tally.wrong.append(f"there are executions of which nobody knows: {await app.counts()}")
                break
            await asyncio.sleep(0.2)
    line.send("end")
    hits: Counter[str] = await asyncio.to_thread(line.recv)
    tally.wrong += rest(url)
    letters = sum(max(0, len(requests) - 1) for requests in noted.requests.values())
    print(f"{time.monotonic() - began:.0f} s;", ", ".join(f"{what}: {count}" for what, count in hits.items()))
    print(
        f"acknowledged: {len(noted.requests)} starts, {letters} letters, {len(noted.heard)} results;"
        f" {tally.refused} requests were refused; {again} steps ran again"
    )
    for wrong in tally.wrong[:20]:
        print("WRONG:", wrong)
    print("lost, doubled or out of order:", len(tally.wrong))
    return 1 if tally.wrong else 0


async def imported(folder: Path, path: Path) -> None:
    """Import everything that a worker does, so that it starts fast."""
    async with saros.open(path, backend=f"sqlite:///{folder / 'first.db'}") as app:
        await (await app.start("app:child", "first")).result(60)


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    print(f"{kind}, {times} kills, SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="saros-kills-") as name:
        folder = Path(name)
        path = lua_app(
            folder / "app",
            workflows={"order": ORDER, "child": CHILD},
            python={"note": "notes:note"},
            files={"notes.py": NOTE},
        )
        asyncio.run(imported(folder, path))
        here, there = multiprocessing.Pipe()
        make = {"sqlite": File, "postgresql": Server, "failover": Replicated}[kind]
        process = multiprocessing.get_context("fork").Process(
            target=killer, args=(make, path, folder, seed, times, there)
        )
        process.start()
        there.close()
        try:
            return asyncio.run(run(here.recv(), folder, path, here, RUNNING[kind]))
        finally:
            with contextlib.suppress(OSError):  # it has ended
                here.send("end")
            process.join(30)
            said = Counter(
                re.sub(r"\d+", "N", line)
                for log in folder.glob("*.log")
                for line in log.read_text().split("\n")
            )
            for text, count in said.most_common(12):
                print(f"the workers said {count} times: {text[:200]}")


if __name__ == "__main__":
    sys.exit(main())
