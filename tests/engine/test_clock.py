"""The clocks: no timer is early, equal times keep their order, and setting the wall clock changes no duration."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import saros
from saros.model.clock import LONGEST, RealClock, backoff
from saros.model.records import RetryPolicy
from saros.model.timing import MS
from saros_memory.virtual_clock import VirtualClock
from saros_testing import eventually, lua_app

HOURS_3 = 3 * 3_600 * 10**9


class Wall:
    """A wall clock that a test can set."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self) -> int:
        return time.monotonic_ns() + 10**18 + self.step


def test_a_timer_that_arms_another_keeps_the_rest() -> None:
    async def main() -> None:
        clock, fired = RealClock(), list[str]()
        clock.call_after(20 * MS, lambda: clock.call_after(3_600 * 1_000 * MS, lambda: fired.append("late")))
        clock.call_after(40 * MS, lambda: fired.append("a"))
        clock.call_at(clock.now() + 60 * MS, lambda: fired.append("b"))
        await eventually(lambda: fired == ["a", "b"])

    asyncio.run(main())


def test_a_callback_that_raises_does_not_stop_the_others() -> None:
    async def main() -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        clock, fired = RealClock(), list[int]()
        start = clock.steady()
        clock.call_after(MS, lambda: 1 // 0, start)
        clock.call_after(MS, lambda: fired.append(1), start)
        await eventually(lambda: fired == [1])
        assert len(errors) == 1

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["after", "at"])
def test_equal_times_keep_their_order(kind: str) -> None:
    async def main() -> None:
        clock, fired = RealClock(), list[int]()
        now, start = clock.now(), clock.steady()
        for number in range(500):
            if kind == "after":
                clock.call_after(50 * MS, lambda number=number: fired.append(number), start)  # type: ignore[misc]
            else:
                clock.call_at(now + 50 * MS, lambda number=number: fired.append(number))  # type: ignore[misc]
        await eventually(lambda: len(fired) == 500)
        assert fired == sorted(fired)

    asyncio.run(main())


def test_equal_times_keep_their_order_where_the_process_is_interrupted() -> None:
    reads = itertools.count()

    def wall() -> int:
        now = time.time_ns()
        if next(reads) % 7 == 3:
            time.sleep(0.002)  # what a loaded machine does to a process
        return now

    async def main() -> None:
        clock, fired = RealClock(wall), list[int]()
        when = clock.now() + 400 * MS
        for number in range(300):
            clock.call_at(when, lambda number=number: fired.append(number))  # type: ignore[misc]
        await eventually(lambda: len(fired) == 300)
        assert fired == sorted(fired)

    asyncio.run(main())


def test_a_storm_of_timers_with_resets_and_cancels() -> None:
    async def main() -> None:
        clock, chance = RealClock(), random.Random(1)
        due: dict[int, int] = {}
        fired: list[tuple[int, int, int]] = []  # number, due, lateness

        def arm(number: int, ns: int) -> saros.model.clock.Handle:
            due[number] = clock.steady() + ns

            def fire() -> None:
                fired.append((number, due[number], clock.steady() - due[number]))
                if number % 10 == 0 and number < 100_000:
                    arm(number + 100_000, 50 * MS)  # a timer armed from a timer

            return clock.call_after(ns, fire, due[number] - ns)

        handles = {number: arm(number, chance.randrange(400) * MS) for number in range(5_000)}
        for number in chance.sample(range(5_000), 2_000):
            handles[number].cancel()
            if number % 2:
                arm(number, chance.randrange(400) * MS)
            else:
                del due[number]
        wanted = {*due, *(number + 100_000 for number in due if number % 10 == 0)}
        await eventually(lambda: len(fired) >= len(wanted))
        await asyncio.sleep(0.02)
        assert sorted(number for number, _due, _late in fired) == sorted(wanted)
        assert min(late for _number, _due, late in fired) >= 0
        times = [due for _number, due, _late in fired]
        assert times == sorted(times)

    asyncio.run(main())


@pytest.mark.parametrize("step", [-HOURS_3, HOURS_3])
def test_setting_the_clock_changes_no_duration(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        wall = Wall()
        clock, fired, begun = RealClock(wall), list[float](), time.monotonic()
        clock.call_after(100 * MS, lambda: fired.append(time.monotonic() - begun))
        clock.call_at(clock.now() + 100 * MS, lambda: fired.append(time.monotonic() - begun))
        wall.step = step
        clock.call_after(100 * MS, lambda: fired.append(time.monotonic() - begun))
        clock.call_at(clock.now() + 100 * MS, lambda: fired.append(time.monotonic() - begun))
        await eventually(lambda: len(fired) == 4)
        assert min(fired) >= 0.1

    asyncio.run(main())


def test_dates_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealClock, "LOOK_NS", 20 * MS)

    async def main() -> None:
        wall = Wall()
        clock, fired = RealClock(wall), list[str]()
        clock.call_on_date(clock.now() + HOURS_3, lambda: fired.append("then"))
        clock.call_on_date(clock.now() + 2 * HOURS_3, lambda: fired.append("later"))
        await asyncio.sleep(0.05)
        assert fired == []
        wall.step = HOURS_3
        await eventually(lambda: fired == ["then"])
        wall.step = 0
        await eventually(lambda: fired == ["then", "later"])  # to look at the time anew

    asyncio.run(main())


SLEEPS = """
    local ticks, ticker = 0, time.ticker("50ms")
    local before = time.now()
    for _ = 1, 3 do
      ticker:channel():receive()
      time.sleep("50ms")
      ticks = ticks + 1
    end
    return {ticks, time.now():sub(before):milliseconds() >= 150}
"""


@pytest.mark.parametrize("step", [-HOURS_3, HOURS_3])
@pytest.mark.parametrize("what", ["workflow", "function"])
def test_setting_the_clock_while_code_waits(
    step: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sleeps, tickers, retries, time limits and delays keep the pace of real time."""
    real, offset = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + offset[0])
    main = SLEEPS if what == "workflow" else 'return (funcs.call("app:sleeps"))'
    flaky = """
        if require("activity").info().attempt < 3 then
          return nil, errors.new{message = "busy", retryable = true}
        end
        return "done"
    """
    retries = """
        local options = {["activity.retry_policy"] = {initial_interval = 50},
                         ["activity.schedule_to_close_timeout"] = "20s"}
        return (funcs.new():with_options(options):call("app:flaky"))
    """
    path = lua_app(
        tmp_path,
        workflows={"main": main, "retries": retries, "slow": 'time.sleep("1h")'},
        functions={"sleeps": SLEEPS, "flaky": flaky},
    )

    async def run() -> None:
        async with saros.open(path) as app:
            begun = time.monotonic()
            main = await app.start("app:main")
            delayed = await app.start("app:main", options={"start_delay": 100})
            retried = await app.start("app:retries")
            limited = await app.start("app:slow", options={"execution_timeout": 300})
            await asyncio.sleep(0.03)
            offset[0] = step
            for order in (main, delayed):
                ticks, passed = await order.result(timeout=90)
                assert ticks == 3
                assert passed or what == "function"  # which reads the wall clock
            assert await retried.result(timeout=90) == "done"
            with pytest.raises(saros.Error, match="timed out after"):
                await limited.result(timeout=90)
            assert time.monotonic() - begun >= 0.3

    asyncio.run(run())


# --- backoff ------------------------------------------------------------------------------------

durations = st.one_of(st.integers(0, 10**6), st.integers(0, 2**70))
coefficients = st.one_of(st.floats(1, 1e308), st.floats(0, 10), st.just(float("inf")))


@given(durations, coefficients, durations, st.one_of(st.integers(0, 5_000), st.integers(0, 2**63)))
def test_a_backoff_is_within_its_bounds(initial: int, coefficient: float, maximum: int, number: int) -> None:
    wait = backoff(initial, coefficient, maximum, number)
    assert isinstance(wait, int)
    assert 0 <= wait <= maximum
    if coefficient >= 1:
        assert wait >= min(initial, maximum) - initial * 1e-12
        assert backoff(initial, coefficient, maximum, number + 1) >= wait


def test_a_backoff_that_overflows_is_the_maximum() -> None:
    policy = RetryPolicy(backoff_coefficient=3.0)
    assert [policy.delay_ms(attempt) for attempt in (1, 2, 5, 6, 648, 2**31)] == [
        *(1_000, 3_000, 81_000),
        *(100_000, 100_000, 100_000),
    ]


# --- virtual time -------------------------------------------------------------------------------


def on_virtual_time(
    scenario: Callable[[VirtualClock], Coroutine[None, None, None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario(VirtualClock(0)))


def test_pass_time_moves_the_clock_by_exactly_the_given_time() -> None:
    async def main(clock: VirtualClock) -> None:
        fired: list[tuple[str, int]] = []

        def note(name: str) -> Callable[[], None]:
            return lambda: fired.append((name, clock.now()))

        with clock.hold():
            clock.call_after(100, note("a"))
            clock.call_after(100, note("b"))
            clock.call_after(50, lambda: clock.call_after(50, note("c")))
            clock.call_after(101, note("d"))
            await clock.pass_time(100)
            assert (clock.now(), fired) == (100, [("a", 100), ("b", 100), ("c", 100)])
            await clock.pass_time(0)
            assert clock.now() == 100
            await clock.pass_time(1)
            assert (clock.now(), fired[3:]) == (101, [("d", 101)])

    on_virtual_time(main)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_jump_waits_for_all_that_can_run(loop: str) -> None:
    """Even if the machine is so busy that a millisecond passes between any two steps.

    The two loops then differ in what they run first: due timers, or callbacks that were ready.
    """
    new_loop = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop

    async def main(clock: VirtualClock) -> None:
        late: list[int] = []
        clock.call_after(LONGEST, lambda: late.append(1))
        for _ in range(VirtualClock.HOPS - 2):
            time.sleep(0.002)  # noqa: ASYNC251 - as on a busy machine
            await asyncio.sleep(0)
        assert late == []

    on_virtual_time(main, new_loop)


@pytest.mark.parametrize("virtual", [False, True])
def test_a_failing_callback_stops_no_other_that_is_due(virtual: bool) -> None:
    async def main() -> None:
        clock = VirtualClock(0) if virtual else RealClock()
        told: list[Exception] = []
        clock.failed = told.append
        fired = asyncio.Event()

        def fail() -> None:
            raise ZeroDivisionError

        start = clock.steady()
        clock.call_after(MS, fail, start)
        clock.call_after(MS, fail, start)
        clock.call_after(2 * MS, fired.set, start)
        async with asyncio.timeout(30):
            await fired.wait()
        assert [type(error) for error in told] == [ZeroDivisionError] * 2

    asyncio.run(main())


@pytest.mark.parametrize("time", ["real", "skip"])
def test_a_failing_callback_ends_its_app(tmp_path: Path, time: str) -> None:
    """Code that waits for that callback would wait forever, so the app must not continue."""

    def fail() -> None:
        raise ZeroDivisionError("a fault")

    async def main() -> None:
        path = lua_app(tmp_path, workflows={"main": "return 1"})
        async with saros.open(path, f"memory://?time={time}") as app:
            workers = app.start_workers()
            app.backend.clock.call_after(MS, fail)
            await asyncio.wait({workers}, timeout=30)
            assert workers.done()

    with pytest.raises(saros.Error, match="ZeroDivisionError: a fault"):
        asyncio.run(main())
