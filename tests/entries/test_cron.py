"""Cron expressions: the five fields of Vixie cron, and what happens when the clock jumps."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saros.engine.runs import after, first
from saros.model.errors import INVALID, Error, ErrorData
from saros.model.execution import Run, StartRequest
from saros.model.records import RetryPolicy, StartOptions
from saros.model.timing import SECOND, Cron


def times(expression: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """Return the first `count` times after `start`, in UTC."""
    cron, found = Cron(expression), []
    now = int(dt.datetime.fromisoformat(start + "Z").timestamp()) * SECOND
    for _ in range(count):
        now = cron.after(now, zoneinfo.ZoneInfo(zone)) or 0
        found.append(dt.datetime.fromtimestamp(now // SECOND, dt.UTC).strftime("%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 9 * * *", ["06-03 09:00", "06-03 09:20", "06-03 09:40"]),
        ("0 0 1,15 * 1", ["06-08 00:00", "06-15 00:00", "06-22 00:00"]),  # the 15th is a Monday
        ("0 0 1-31 * 1", ["06-03 00:00", "06-04 00:00", "06-05 00:00"]),
        # Mondays on odd days: a field that begins with `*` does not add days.
        ("0 0 */2 * 1", ["06-15 00:00", "06-29 00:00", "07-13 00:00"]),
        ("0 0 * * 5-7", ["06-05 00:00", "06-06 00:00", "06-07 00:00"]),
        ("0 0 * * sun", ["06-07 00:00", "06-14 00:00", "06-21 00:00"]),
        ("0 0 1 jan-mar *", ["01-01 00:00", "02-01 00:00", "03-01 00:00"]),
        ("5/25 12 3 6 *", ["06-03 12:05", "06-03 12:30", "06-03 12:55"]),
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
    ],
)
def test_the_five_fields(expression: str, expected: list[str]) -> None:
    assert times(expression, "2026-06-02T12:00:30", 3) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "often",
        "* * * *",
        "0 * * * * *",
        "* * * * * 2026",
        "0 0 * * * * 2026",
        "@daily",
        "@every 5m",
        "CRON_TZ=UTC 0 0 * * *",
        "0 0 L * *",
        "0 0 LW * *",
        "0 0 * * 5L",
        "0 0 * * 5#2",
        "0 0 ? * *",
        "R * * * *",
        "60 * * * *",
        "* 24 * * *",
        "0 0 0 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "-5 * * * *",
        "0 0 31 2 *",
        "0 0 30 feb *",
        "0 0 31 4,6,9,11 *",
        "٥ * * * *",
        "0 0 * * ſun",
        "1" * 300 + " * * * *",
    ],
)
def test_what_is_refused(expression: str) -> None:
    with pytest.raises(Error) as caught:
        Cron(expression)
    assert caught.value.kind == INVALID
    assert caught.value.hint
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        # Berlin, 29 March 2026: 2:00 to 3:00 does not exist.
        ("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00", ["03-28 01:30", "03-30 00:30"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        # Berlin, 25 October 2026: 2:00 to 3:00 comes twice.
        ("30 2 * * *", "Europe/Berlin", "2026-10-23T12:00", ["10-24 00:30", "10-25 01:30", "10-26 01:30"]),
        # New York, 1 November 2026: 1:00 to 2:00 comes twice.
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 05:30", "11-01 06:30", "11-02 06:30"]),
        ("0 * * * *", "America/New_York", "2026-11-01T04:30", ["11-01 05:00", "11-01 06:00", "11-01 07:00"]),
    ],
)
def test_where_the_clock_jumps(expression: str, zone: str, start: str, expected: list[str]) -> None:
    assert times(expression, start, len(expected), zone) == expected


@given(
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 0 1,15 * 1", "59 23 31 12 *", "0 1-3 * 3,10 0"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(0, 4_000_000_000 * SECOND),
)
def test_times_grow(expression: str, zone: str, now: int) -> None:
    time = Cron(expression).after(now, zoneinfo.ZoneInfo(zone))
    assert time is not None
    assert time > now
    assert time % (60 * SECOND) == 0


def test_no_time_is_left_at_the_end() -> None:
    assert Cron("0 0 * * *").after(4_133_980_800 * SECOND) is None  # 2101


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("0 0 * jan 5-7", "0 0 * 1 0,5,6"),
        ("0 0 1,15 * 0-7", "0 0 1,15 * 0,1,2,3,4,5,6"),
        ("0 0 */2 * *", "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *"),
    ],
)
def test_in_numbers(expression: str, expected: str) -> None:
    assert Cron(expression).in_numbers() == expected


def test_what_implementations_read_differently_is_refused_for_cron_workflows() -> None:
    with pytest.raises(Error) as caught:
        Cron("0 0 */2 * 1").in_numbers()
    assert caught.value.kind == INVALID


HOUR = 3_600 * SECOND
HOURLY = StartOptions(cron_schedule="0 * * * *")


def _run(due: int = 0) -> Run:
    return Run("w", "1", "app:main", "main", "w", "q", 0, options=HOURLY, due=due)


@pytest.mark.parametrize(
    ("wall", "due"),
    [
        (10 * HOUR + 1, 11),
        (13 * HOUR + 1, 14),  # set forward
        (10 * HOUR - 1, 11),  # a little back: the run was that of 10:00
        (5 * HOUR + 1, 6),  # far back: the hours come again
    ],
)
def test_the_next_run_follows_the_time_of_day_and_no_run_repeats_the_date_of_the_last(
    wall: int, due: int
) -> None:
    following = after(_run(due=10 * HOUR), 10 * HOUR + 1, wall=wall)
    assert following is not None
    assert (following.run.due, following.delay) == (due * HOUR, due * HOUR - wall)
    assert following.run.start_time == 10 * HOUR + 1  # the time of the run never goes back


def test_the_start_and_a_retry_keep_the_date_of_the_run() -> None:
    request = StartRequest("w", "app:main", "main", "w", "q", options=HOURLY)
    new = first(request, 9 * HOUR + 1)
    assert (new.run.due, new.delay) == (10 * HOUR, HOUR - 1)
    policy = msgspec.structs.replace(new.run.options, retry_policy=RetryPolicy())
    again = after(
        msgspec.structs.replace(new.run, options=policy), 10 * HOUR, ErrorData("again", retryable=True)
    )
    assert again is not None
    assert (again.run.attempt, again.run.due) == (2, 10 * HOUR)


def test_a_run_that_was_stored_without_a_date_still_has_a_next_one() -> None:
    stored = msgspec.json.encode(_run())
    assert b"due" not in stored
    following = after(msgspec.json.decode(stored, type=Run), 10 * HOUR + 1)
    assert following is not None
    assert following.run.due == 11 * HOUR
