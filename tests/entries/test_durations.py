"""Durations as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saros.entries import parse_duration
from saros.model.errors import INVALID, Error

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1h30m", 5400 * SECOND),
        ("500ms", SECOND // 2),
        ("1.5s", 3 * SECOND // 2),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("0", 0),
        ("0s", 0),
        ("-2m", -120 * SECOND),
        ("+3s", 3 * SECOND),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("1μs", 1_000),
        ("7ns", 7),
        ("1h1m1s1ms1us1ns", 3661 * SECOND + 1_001_001),
        ("0.1s", SECOND // 10),
        ("9223372036854775807ns", 2**63 - 1),
        (250, SECOND // 4),
        (0.5, 500_000),
        (0, 0),
    ],
)
def test_durations(text: str | int | float, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "write it as"),
        ("s", "write it as"),
        ("soon", "write it as"),
        ("-", "write it as"),
        ("1h soon", '"h soon" is not a unit'),
        ("30", 'the unit is missing after "30"'),
        ("1d", '"d" is not a unit'),
        ("1.2.3s", "the unit is missing"),
        (" 1s", "write it as"),
        ("1s ", "is not a unit"),
        ("10000000h", "longer than 292 years"),
        (float("nan"), "a number of milliseconds"),
        (float("inf"), "a number of milliseconds"),
        (True, "a number of milliseconds"),
    ],
)
def test_what_is_no_duration(value: str | float, reason: str) -> None:
    with pytest.raises(Error, match=reason) as caught:
        parse_duration(value)
    assert caught.value.kind == INVALID


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(hours: int, minutes: int, milliseconds: int) -> None:
    expected = (hours * 3600 + minutes * 60) * SECOND + milliseconds * 1_000_000
    assert parse_duration(f"{hours}h{minutes}m{milliseconds}ms") == expected
