"""The workflows of a soak (see soak.py), whose results and histories prove what happened, and the verdict."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import saros
from saros.model.errors import UNAVAILABLE

STEPS = 8
PATIENCE_S = 120.0
"""How long to wait for running workflows after the last disturbance."""
STEP_S = 3 * 3_600
"""The step by which clocks are set."""
NAP_S = 6.0
# A call that was lost with its worker is retried after its timeout: Temporal does not notice the loss earlier.
ORDER = f"""
    local soon = funcs.new():with_options({{["activity.start_to_close_timeout"] = "10s"}})
    local sum, got = 0, {{}}
    for i = 1, {STEPS} do
      sum = sum + soon:call(i % 4 == 0 and "app:near" or "app:square", i)
      if i % 3 == 0 then time.sleep("50ms") end
    end
    local child = require("workflow").call("app:child", input)
    local inbox = process.listen("number")
    while true do
      local number = inbox:receive()
      if number == 0 then break end
      got[#got + 1] = number
    end
    return {{sum = sum, child = child, got = got}}
"""
CHILD = """
    time.sleep("100ms")
    return funcs.new():with_options({["activity.start_to_close_timeout"] = "10s"}):call("app:square", 3)
"""
NAP = "time.sleep(input) return input"
RIGHT = {"sum": sum(i * i for i in range(1, STEPS + 1)), "child": 9, "got": [1, 2, 3]}
NONE = (0.0, 0.0, "none")  # see `longest_wait`


def off_steps(seconds: float) -> float:
    """Return a difference of two times without the steps by which clocks were set in between."""
    return (seconds + STEP_S / 2) % STEP_S - STEP_S / 2


class Tally:
    """The acknowledged requests and their results."""

    def __init__(self) -> None:
        self.disturbed: list[
            tuple[float, str]
        ] = []  # the end of each disturbance, by time.time(), and its name
        self.refused = 0
        self.started: list[Any] = []
        self.slowest = NONE
        self.late = 0.0  # seconds by which the latest sleep was late, with its start and result
        self.wrong: list[str] = []

    def report(self, seconds: float) -> int:
        print(f"{seconds:.0f} s, {len(self.started)} workflows, {self.refused} requests met no server")
        counts = Counter(name for _when, name in self.disturbed)
        print("disturbed:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
        print(
            f"{sum(each.id.startswith('nap') for each in self.started)} slept, {self.late:.1f} s late at most"
        )
        waited, since, where = self.slowest
        print(f"the longest wait for a next event was {waited:.1f} s: {where}; meanwhile:")
        for when, name in self.disturbed:
            after = off_steps(when - since)
            if -1 <= after <= waited:
                print(f"  {name}, {after:+.1f} s")
        for line in self.wrong[:20]:
            print("WRONG:", line)
        print("lost or doubled:", len(self.wrong))
        return 1 if self.wrong else 0


async def nap(app: Any, tally: Tally, number: int) -> None:
    """Start a workflow that sleeps, and check that it is neither early nor hours late."""
    began = time.monotonic()
    handle = await patiently(tally, lambda: app.start("app:nap", f"{NAP_S}s", id=f"nap-{number}"))
    tally.started.append(handle)
    try:
        await patiently(tally, lambda: handle.result(PATIENCE_S))
    except saros.Error as error:
        tally.wrong.append(f"{handle.id}: {error}")
        return
    took = time.monotonic() - began
    tally.late = max(tally.late, took - NAP_S)
    if took < NAP_S:
        tally.wrong.append(f"{handle.id} slept {took:.2f} s of {NAP_S} s")


async def one(app: Any, tally: Tally, number: int) -> None:
    """Start a workflow, send it numbers, and check its result and history."""
    id = f"order-{number}"
    handle = await patiently(tally, lambda: app.start("app:order", number, id=id))
    tally.started.append(handle)
    for value in (1, 2, 3):
        await patiently(tally, lambda value=value: handle.signal("number", value))
    await patiently(tally, lambda: handle.signal("number", 0))
    await judge(tally, handle)


async def judge(tally: Tally, handle: Any) -> None:
    """Wait for the end of a workflow, and record everything that is wrong with it."""
    try:
        result = await patiently(tally, lambda: handle.result(PATIENCE_S))
        # A signal whose reply was lost is sent again, and comes again.
        if {**result, "got": list(dict.fromkeys(result["got"]))} != RIGHT:
            tally.wrong.append(f"{handle.id} returned {result}")
        history = await patiently(tally, handle.export)
        tally.wrong += [f"{handle.id} {fault}" for fault in faults(history)]
    except saros.Error as error:
        tally.wrong.append(f"{handle.id}: {error}")
        return
    tally.slowest = max(tally.slowest, longest_wait(history, handle.id))


def longest_wait(history: dict[str, Any], id: str) -> tuple[float, float, str]:
    """Return the longest time between two events of a history, in seconds, when it began, and the two events."""
    if "format" not in history:
        return 0.0, 0.0, id
    places = [(history["run"]["start_time"] / 1e9, "its start")]
    places += [(each["time"] / 1e9, f"{each['type']} {each['summary']}") for each in history["events"]]
    waits = [
        (off_steps(after - before), before, f"{id}, from {what}, to {then}")
        for (before, what), (after, then) in itertools.pairwise(places)
    ]
    return max(waits)


def faults(history: dict[str, Any]) -> list[str]:
    """Return the faults of a complete history: steps that ended twice or never, and any number of ends but one."""
    events: list[dict[str, Any]] = history["events"]
    if "format" not in history:  # Temporal's own
        ended = [each.get("activityTaskCompletedEventAttributes") for each in events]
        steps = Counter(each["scheduledEventId"] for each in ended if each)
        return [f"has the end of step {step} {count} times" for step, count in steps.items() if count > 1]
    ends = Counter(each["ref"] for each in events if each["op"] == "done")
    begun = {each["ref"] for each in events if each["op"] in ("call", "timer", "spawn")}
    found = [f"has the end of step {ref} {count} times" for ref, count in ends.items() if count > 1]
    found += [f"has no end of step {ref}" for ref in sorted(begun - set(ends))]
    closing = [each["op"] for each in events if each["op"] in ("complete", "fail", "terminate", "time_out")]
    return found if len(closing) == 1 else [*found, f"has ended by {closing}"]


async def patiently(tally: Tally, request: Callable[[], Awaitable[Any]]) -> Any:
    """Make a request, repeat it while the server is away, and return its result."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await request()
        except saros.Error as error:
            if error.kind != UNAVAILABLE or time.monotonic() > until:
                raise
            tally.refused += 1
            await asyncio.sleep(0.2)
