"""Random waits of every kind while the clocks are set forward and back: no wait gets shorter or longer.

``MODEL_PROGRAMS=1000 pytest tests/model/test_clock_steps.py`` tries more of them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import saros
from saros.engine import StoreBackend
from saros.model.execution import new_id

from .laws import check_histories
from .test_random_programs import NUMBERS, sizes

APP = Path(__file__).parent / "clocked"
LATE_S = 30.0
"""A busy machine may be late, but not by hours."""
RESTART_MS = 150
FALLS = 4
HOURS_3 = 3 * 3_600
STEPS_S = (HOURS_3, -HOURS_3, HOURS_3, -HOURS_3, 60.0, -60.0, 0.7, -0.7, 0.2, -0.2)
TIMEOUT = "Timeout"

WAITS: dict[str, tuple[int, Any]] = {
    "sleep": (1, True),
    "reset": (1, True),
    "ticks": (3, True),
    "nap": (1, 1),
    "ticks_there": (3, 1),
    "retry": (2, list),
    "retry_near": (2, list),
    "to_close": (1, TIMEOUT),
    "to_start": (1, TIMEOUT),
    "attempt": (1, TIMEOUT),
    "attempt_near": (1, TIMEOUT),
    "silence": (1, TIMEOUT),
    "child_expires": (1, TIMEOUT),
    "child_runs_out": (1, TIMEOUT),
    "child_is_delayed": (1, "ended"),
    "child_retries": (1, "ended"),
}
"""Operation of `clocked/main.lua` -> how many times its number of milliseconds it takes, and its result."""

Branches = list[list[tuple[str, int]]]


class Event(NamedTuple):
    """Something that happens while the programs run.

    :param step_s: how far a clock is set forward, or back if negative.
    :param after_ms: the time since the event before.
    """

    what: str
    step_s: float
    after_ms: int


PROGRAMS = st.lists(
    st.lists(st.tuples(st.sampled_from(sorted(WAITS)), st.integers(30, 400)), min_size=1, max_size=3),
    min_size=3,
    max_size=8,
)
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(("step here", "step there", "step both", "forget")),
        st.sampled_from(STEPS_S),
        st.integers(0, 300),
    ),
    min_size=2,
    max_size=8,
)


class Clocks:
    """The wall clocks of this process and of a server, which can be set."""

    def __init__(self, set_there: Callable[[float], None] = lambda seconds: None) -> None:
        self._set_there = set_there
        self._here = self._there = 0.0
        self._time, self._time_ns = time.time, time.time_ns

    def step(self, what: str, seconds: float) -> None:
        if what != "step there":
            self._here += seconds
        if what != "step here":
            self._there += seconds
            self._set_there(self._there)

    def time(self) -> float:
        return self._time() + self._here

    def time_ns(self) -> int:
        return self._time_ns() + round(self._here * 1e9)


async def live(branches: Branches, events: list[Event], url: str, clocks: Clocks) -> None:
    began = time.monotonic_ns()
    async with asyncio.timeout(3 * LATE_S), saros.open(APP, url) as app:
        order = await app.start("app:main", branches, new_id(), id="main")
        for event in events:
            await asyncio.sleep(event.after_ms / 1000)
            if event.what != "forget":
                clocks.step(event.what, event.step_s)
            elif isinstance(app.backend, StoreBackend) and app.backend.workflow_worker is not None:
                app.backend.workflow_worker.drop_all()
        # A tick that is late by less than its interval does not delay the next, so the next may be early by a step.
        slack_ms = sum(event.step_s * 1000 for event in events if 0 < event.step_s < 1)
        check(branches, await order.result(2 * LATE_S), slack_ms)
        await check_falls(app, began)
        await check_histories(app)


def check(branches: Branches, results: list[list[list[Any]]], slack_ms: float) -> None:
    """Check that no wait was early or very late, and that each ended as expected."""
    for ops, noted in zip(branches, results, strict=True):
        for (op, ms), (took, value) in zip(ops, noted, strict=True):
            times, wanted = WAITS[op]
            assert (type(value) if isinstance(value, list) else value) == wanted, (op, ms, took, value)
            assert took >= times * ms - 1 - (slack_ms if op.startswith("ticks") else 0), (op, ms, took)
            assert took <= LATE_S * 1000, (op, ms, took)
            if isinstance(value, list):
                assert all(wait >= ms - 1 for wait in value), (op, ms, value)


async def check_falls(app: saros.App, began: int) -> None:
    """Check that the service restarted, each time after its delay."""
    while len(falls := [fall for fall in await app.call("app:falls") if fall > began]) < FALLS:
        assert time.monotonic_ns() - began < LATE_S * 1e9, falls
        await asyncio.sleep(0.02)
    waits = [(fall - before) / 1e6 for before, fall in itertools.pairwise(falls)]
    assert all(wait >= RESTART_MS - 1 for wait in waits), waits


def tries(number: int, url: str, clocks: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    @sizes(number)
    @given(branches=PROGRAMS, events=EVENTS)
    def lives(branches: Branches, events: list[Event]) -> None:
        with monkeypatch.context() as set_here:
            set_here.setattr(time, "time", clocks.time)
            set_here.setattr(time, "time_ns", clocks.time_ns)
            asyncio.run(live(branches, events, url.format(next(NUMBERS)), clocks))

    lives()


def test_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tries(12, "memory://clocked-{}", Clocks(), monkeypatch)


def test_on_redis(stepped_redis_port: int, own_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"redis://localhost:{stepped_redis_port}/0?lease=30s&prefix=clocked-{{}}"
    tries(12, url, Clocks(own_clock.set), monkeypatch)
