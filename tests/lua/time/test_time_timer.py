"""Sleeping, timers and tickers of the time module, with a driver that fires timers by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

SECOND = 10**9


def test_sleep_is_one_timer_command(drive: Run) -> None:
    driver = drive("local ok, err = time.sleep('1h') return {ok, err == nil, time.now():unix_nano()}")
    assert driver.commands == [("timer", 1, {"ns": 3600 * SECOND})]
    driver.pass_time(3600 * SECOND)
    driver.fire(1)
    assert driver.result == [True, True, driver.now]


@pytest.mark.parametrize("d", ["0", "-5", "'0s'", "'-1h'"])
def test_sleeping_no_time_returns_at_once(drive: Run, d: str) -> None:
    assert drive(f"return time.sleep({d})").result is True


def test_a_cancelled_sleep_gives_the_error_back(drive: Run) -> None:
    driver = drive("local ok, err = time.sleep('1h') return {ok == nil, err:kind()}")
    driver.cancel()
    assert ("rescind", 2, {"ref": 1, "of": "timer"}) in driver.commands
    assert driver.result == [True, "Canceled"]


def test_after_gives_one_time(drive: Run) -> None:
    driver = drive("local t, ok = time.after('5s'):receive() return {t:unix_nano(), ok}")
    driver.pass_time(5 * SECOND)
    driver.fire(1)
    assert driver.result == [driver.now, True]


def test_after_no_time_is_ready(drive: Run) -> None:
    code = "local r = channel.select{time.after(-1):case_receive(), default = true} return r.default == nil"
    assert drive(code).result is True


def test_a_timeout_in_a_select(drive: Run) -> None:
    driver = drive(
        "local work, late = channel.new(0), time.after('1s')"
        "local r = channel.select{work:case_receive(), late:case_receive()} return r.channel == late"
    )
    driver.fire(1)
    assert driver.result is True


def test_a_timer_fires_once(drive: Run) -> None:
    driver = drive(
        "local t = time.timer('2s') local at = t:channel():receive()"
        "return {t:channel() == t:response(), at:unix_nano(), t:stop()}"
    )
    driver.pass_time(2 * SECOND)
    driver.fire(1)
    assert driver.result == [True, driver.now, False]


def test_stopping_a_timer(drive: Run) -> None:
    driver = drive(
        "local t = time.timer('2s') local first, second = t:stop(), t:stop() "
        "local r = channel.select{t:channel():case_receive(), default = true} "
        "return {first, second, r.default}"
    )
    assert driver.commands[:2] == [
        ("timer", 1, {"ns": 2 * SECOND}),
        ("rescind", 2, {"ref": 1, "of": "timer"}),
    ]
    assert driver.result == [True, False, True]


def test_resetting_a_running_timer(drive: Run) -> None:
    driver = drive(
        "local t = time.timer('2s') local was = t:reset('7s') local at = t:channel():receive() "
        "return {was, at:unix()}"
    )
    assert driver.commands == [
        ("timer", 1, {"ns": 2 * SECOND}),
        ("rescind", 2, {"ref": 1, "of": "timer"}),
        ("timer", 3, {"ns": 7 * SECOND}),
    ]
    driver.fire(1)  # the rescinded timer fires and has no effect
    assert driver.result is None
    driver.pass_time(7 * SECOND)
    driver.fire(3)
    assert driver.result == [True, driver.now // SECOND]


def test_resetting_a_timer_that_has_fired_drops_the_old_time(drive: Run) -> None:
    driver = drive(
        "local t = time.timer('1s') time.sleep('5s') local was = t:reset('1s') "
        "local at = t:channel():receive() return {was, at:unix_nano()}"
    )
    driver.pass_time(SECOND)
    driver.fire(1)
    driver.pass_time(4 * SECOND)
    driver.fire(2)
    driver.pass_time(SECOND)
    driver.fire(3)
    assert driver.result == [False, driver.now]


def test_a_ticker_ticks_until_it_is_stopped(drive: Run) -> None:
    driver = drive(
        "local t, out = time.ticker('1s'), {} local start = time.now() "
        "for i = 1, 3 do out[i] = t:response():receive():sub(start):nanoseconds() end "
        "out[4] = t:stop() out[5] = t:stop() return out"
    )
    for ref in (1, 2, 3):
        assert driver.commands[-1] == ("timer", ref, {"ns": SECOND})
        driver.pass_time(SECOND)
        driver.fire(ref)
    assert driver.commands[4] == ("rescind", 5, {"ref": 4, "of": "timer"})
    assert driver.result == [SECOND, 2 * SECOND, 3 * SECOND, True, False]


def test_a_slow_receiver_misses_ticks(drive: Run) -> None:
    driver = drive(
        "local t, start = time.ticker('1s'), time.now() time.sleep('10s') "
        "local first = t:channel():receive():sub(start):nanoseconds() "
        "local r = channel.select{t:channel():case_receive(), default = true} "
        "t:stop() return {first, r.default}"
    )
    for ref in (1, 3, 4):
        driver.pass_time(SECOND)
        driver.fire(ref)
    driver.fire(2)
    assert driver.result == [SECOND, True]


def test_ticks_do_not_drift_and_skip_what_was_missed(drive: Run) -> None:
    driver = drive("local t = time.ticker('1s') local c = channel.new(0) c:receive()")
    driver.pass_time(SECOND + 300_000_000)
    driver.fire(1)
    assert driver.commands[-1] == ("timer", 2, {"ns": 700_000_000})
    driver.pass_time(4_000_000_000)  # due at 2 s, heard at 5.3 s, or the clock was set forward: never early
    driver.fire(2)
    assert driver.commands[-1] == ("timer", 3, {"ns": SECOND})
    driver.pass_time(900_000_000)  # the clock was set back: the next tick is at most one interval away
    driver.fire(3)
    assert driver.commands[-1] == ("timer", 4, {"ns": SECOND})


def test_methods_need_the_colon(evaluate: Run) -> None:
    for call in ("time.timer(1).stop()", "time.ticker(1).channel()", "time.timer(1).reset(5)"):
        ok, message = evaluate(f"local ok, e = pcall(function() local x = {call} end) return {{ok, e}}")
        assert not ok
        assert "colon" in message
        assert message.startswith("test.lua:1: ")
