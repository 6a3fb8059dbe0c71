"""A command's process ends soon after its work, whatever the app's code leaves behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAVES = {
    "a thread": "threading.Thread(target=time.sleep, args=(300,)).start()",
    "a call of to_thread": "tasks.append(asyncio.create_task(asyncio.to_thread(time.sleep, 300)))",
    "a task that ignores its cancellation": "tasks.append(asyncio.create_task(ignore()))",
}
CODE = """
import asyncio, threading, time
from saros_cli import main, session

tasks = []

async def ignore():
    while True:
        try:
            await asyncio.sleep(300)
        except asyncio.CancelledError:
            pass

async def work():
    LEAVES
    await asyncio.sleep(0.1)
    print("done")
    return 0

def run(args):
    session.run(work())
    return 3

main.__globals__["_run"] = run
raise SystemExit(main())
"""


@pytest.mark.parametrize("what", sorted(LEAVES))
def test_a_command_ends_whatever_is_left(what: str) -> None:
    code = CODE.replace("LEAVES", LEAVES[what])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "done\n"), done.stderr
